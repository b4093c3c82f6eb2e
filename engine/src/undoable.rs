//! A list that can be put back, and that knows what changed: what a rehearsal changes is noted as it was, whole, when
//! it is first touched; everything else that changes is named to whoever writes the state down.
//!
//! Everything that changes an item goes through `IndexMut`, so a field that an item gets later is put back and written,
//! too. Only what follows from other items may be changed by `follow_mut`.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Index, IndexMut};

use crate::touched::Touched;

/// A `Vec` that reads as a slice and whose changes can be undone.
#[derive(Clone, Debug)]
pub struct Undoable<T> {
    items: Vec<T>,
    before: Option<Before<T>>,
    /// What was changed or added.
    pub(crate) touched: Touched,
}

/// How the list was when noting began.
#[derive(Clone, Debug)]
struct Before<T> {
    length: usize,
    changed: HashMap<usize, T>,
}

impl<T: Clone> Undoable<T> {
    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        self.touch(self.items.len());
        self.items.push(item);
    }

    /// An item, to change what is not written down because it follows from others.
    pub fn follow_mut(&mut self, index: usize) -> &mut T {
        let item = &mut self.items[index];
        if let Some(before) = &mut self.before
            && index < before.length
        {
            before.changed.entry(index).or_insert_with(|| item.clone());
        }
        item
    }

    /// Names an item as changed. What is changed while noting is put back: nobody needs to know.
    pub fn touch(&mut self, index: usize) {
        if self.before.is_none() {
            self.touched.touch(index);
        }
    }

    /// From now on changes are noted. What was noted before is forgotten and stands.
    pub fn note(&mut self) {
        self.before = Some(Before { length: self.items.len(), changed: HashMap::new() });
    }

    /// Puts everything back as it was when noting began, and ends it; gives what was added since. Without noting
    /// nothing changes.
    pub fn undo(&mut self) -> Vec<T> {
        let Some(before) = self.before.take() else { return Vec::new() };
        let added = self.items.split_off(before.length);
        for (index, item) in before.changed {
            self.items[index] = item;
        }
        added
    }

    /// An item as it was when noting began, if it was there and has changed since.
    pub fn before(&self, index: usize) -> Option<&T> {
        self.before.as_ref()?.changed.get(&index)
    }
}

impl<T> Default for Undoable<T> {
    fn default() -> Self {
        Undoable { items: Vec::new(), before: None, touched: Touched::default() }
    }
}

impl<T> Deref for Undoable<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> Index<usize> for Undoable<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.items[index]
    }
}

impl<T: Clone> IndexMut<usize> for Undoable<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.touch(index);
        self.follow_mut(index)
    }
}

/// A list as it was written down.
impl<T> From<Vec<T>> for Undoable<T> {
    fn from(items: Vec<T>) -> Self {
        Undoable { items, ..Undoable::default() }
    }
}

/// The items as they are; what is noted is on its way back to them.
impl<T: Hash> Hash for Undoable<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.items.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Undoable<String> {
        let mut list = Undoable::default();
        for item in ["a", "b"] {
            list.push(item.to_owned());
        }
        list
    }

    #[test]
    fn what_was_changed_and_added_is_put_back() {
        let mut list = list();
        list.note();
        list[0].push('x');
        list[0].push('y');
        list.push("c".into());
        list[2].push('z');
        assert_eq!(list.before(0).map(String::as_str), Some("a"));
        assert_eq!((list.before(1), list.before(2)), (None, None));
        assert_eq!(&*list, ["axy", "b", "cz"]);
        assert_eq!(list.undo(), ["cz"]);
        assert_eq!(&*list, ["a", "b"]);
    }

    #[test]
    fn what_changed_is_named_unless_it_was_put_back_or_follows() {
        let mut list = list();
        list[0].push('x');
        list.touched.watch();
        list[1].push('x');
        list.follow_mut(0).push('y');
        list.push("c".into());
        list.note();
        list[0].push('z');
        list.push("d".into());
        list.undo();
        assert!(!list.touched.is_empty());
        assert_eq!(list.touched.take(), [1, 2]);
        assert!(list.touched.is_empty());
    }

    #[test]
    fn what_is_not_noted_stands() {
        let mut list = list();
        list[0].push('x');
        assert!(list.undo().is_empty());
        list.note();
        list[1].push('y');
        list.note();
        list[0].push('z');
        list.undo();
        assert_eq!(&*list, ["ax", "by"]);
        list[0].push('!');
        assert!(list.undo().is_empty());
        assert_eq!(&*list, ["ax!", "by"]);
    }
}
