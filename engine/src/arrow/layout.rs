//! Which buffers a column has, in the order of the format, by the width of their elements in bytes. arrow-rs takes it for
//! granted that a buffer ends with an element.

use std::iter::repeat_n;

use arrow_schema::DataType;

/// Of a view: nothing else that a recipient has is as wide.
pub const VIEW: usize = 16;

/// Appends the widths of a column's buffers. `views` tells of each column of views how many buffers hold its texts.
pub fn widths(data_type: &DataType, views: &mut impl Iterator<Item = usize>, out: &mut Vec<usize>) {
    const VALIDITY: usize = 1;
    const TEXTS: usize = 1;
    match data_type {
        DataType::Utf8 => out.extend([VALIDITY, size_of::<i32>(), TEXTS]),
        DataType::LargeUtf8 => out.extend([VALIDITY, size_of::<i64>(), TEXTS]),
        DataType::Utf8View => {
            out.extend([VALIDITY, VIEW]);
            out.extend(repeat_n(TEXTS, views.next().unwrap_or(0)));
        }
        DataType::Dictionary(keys, _) => out.extend([VALIDITY, keys.primitive_width().unwrap_or(1)]),
        DataType::List(item) => {
            out.extend([VALIDITY, size_of::<i32>()]);
            widths(item.data_type(), views, out);
        }
        DataType::LargeList(item) => {
            out.extend([VALIDITY, size_of::<i64>()]);
            widths(item.data_type(), views, out);
        }
        DataType::Struct(fields) => {
            out.push(VALIDITY);
            fields.iter().for_each(|field| widths(field.data_type(), views, out));
        }
        // Null has none; the schema was checked, so there is nothing else.
        _ => {}
    }
}
