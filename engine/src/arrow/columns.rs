//! Columns of text, of lists of text and of structs, whichever way a stream writes them. The schema was checked: what
//! has another type counts as not given.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, LargeStringArray, StringArray, StringViewArray, StructArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};

/// The key of a row. It is read when it is asked for: lists may have any number of keys, and use a few.
type Key<'a> = Box<dyn Fn(usize) -> Option<usize> + 'a>;

/// A column of text.
pub enum Text<'a> {
    NotGiven,
    Utf8(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
    Dictionary { key: Key<'a>, nulls: Option<&'a NullBuffer>, values: Box<Text<'a>> },
}

impl<'a> Text<'a> {
    pub fn of(array: Option<&'a ArrayRef>) -> Self {
        let Some(array) = array else { return Text::NotGiven };
        if let Some(array) = array.as_string_opt::<i32>() {
            Text::Utf8(array)
        } else if let Some(array) = array.as_string_opt::<i64>() {
            Text::Large(array)
        } else if let Some(array) = array.as_string_view_opt() {
            Text::View(array)
        } else {
            match array.as_any_dictionary_opt() {
                None => Text::NotGiven,
                Some(dictionary) => Text::Dictionary {
                    key: key_of(dictionary.keys()),
                    nulls: dictionary.nulls(),
                    values: Box::new(Text::of(Some(dictionary.values()))),
                },
            }
        }
    }

    /// The text of a row; None where it is null or there is no such row.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Text::NotGiven => None,
            Text::Utf8(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
            Text::Large(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
            Text::View(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
            Text::Dictionary { key, nulls, values } => {
                let key = key(row).filter(|_| nulls.is_none_or(|nulls| nulls.is_valid(row)))?;
                values.get(key)
            }
        }
    }
}

fn key_of(keys: &dyn Array) -> Key<'_> {
    macro_rules! one_of {
        ($($width:ty),*) => {
            $(if let Some(keys) = keys.as_primitive_opt::<$width>() {
                let keys = keys.values();
                return Box::new(move |row| keys.get(row).and_then(|key| usize::try_from(*key).ok()));
            })*
        };
    }
    one_of!(Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type);
    Box::new(|_| None)
}

/// A column of lists of text.
pub struct Texts<'a> {
    lists: Option<&'a ArrayRef>,
    ends: Ends<'a>,
    items: Text<'a>,
}

/// Where lists begin and end in their items.
enum Ends<'a> {
    None,
    Small(&'a ScalarBuffer<i32>),
    Large(&'a ScalarBuffer<i64>),
}

impl Ends<'_> {
    fn at(&self, row: usize) -> usize {
        match self {
            Ends::None => 0,
            Ends::Small(ends) => ends.get(row).map_or(0, |end| *end as usize),
            Ends::Large(ends) => ends.get(row).map_or(0, |end| *end as usize),
        }
    }
}

impl<'a> Texts<'a> {
    pub fn of(array: Option<&'a ArrayRef>) -> Self {
        if let Some(lists) = array.and_then(|array| array.as_list_opt::<i32>()) {
            Texts { lists: array, ends: Ends::Small(lists.offsets().inner()), items: Text::of(Some(lists.values())) }
        } else if let Some(lists) = array.and_then(|array| array.as_list_opt::<i64>()) {
            Texts { lists: array, ends: Ends::Large(lists.offsets().inner()), items: Text::of(Some(lists.values())) }
        } else {
            Texts { lists: None, ends: Ends::None, items: Text::NotGiven }
        }
    }

    /// The items of a row, null ones as None; no items where the list itself is null.
    pub fn get(&self, row: usize) -> impl Iterator<Item = Option<&'a str>> {
        let given = self.lists.is_some_and(|lists| row < lists.len() && lists.is_valid(row));
        let items = if given { self.ends.at(row)..self.ends.at(row + 1) } else { 0..0 };
        items.map(|item| self.items.get(item))
    }
}

/// A column of structs.
#[derive(Clone, Copy)]
pub struct Structs<'a>(Option<&'a StructArray>);

impl<'a> Structs<'a> {
    pub fn of(array: Option<&'a ArrayRef>) -> Self {
        Structs(array.and_then(|array| array.as_struct_opt()))
    }

    /// Whether the struct of a row is there, be all its fields null.
    pub fn is_given(&self, row: usize) -> bool {
        self.0.is_some_and(|structs| row < structs.len() && structs.is_valid(row))
    }

    pub fn field(&self, name: &str) -> Option<&'a ArrayRef> {
        self.0.and_then(|structs| structs.column_by_name(name))
    }
}
