//! Tables of columns that cross process borders: one definition gives the fields, their widths,
//! how they are written and what numpy calls them.
//!
//! Layout of a table: the number of rows as u32, then each column in order of definition, little-endian,
//! without padding.

/// Bytes that do not hold what their place promises. Only a fault of ours can cause it.
#[derive(Debug, PartialEq, Eq)]
pub struct Corrupt(pub &'static str);

/// A number that a column can hold.
pub trait Element: Copy + Default {
    /// numpy's name of the type.
    const DTYPE: &'static str;
    fn write_all(values: &[Self], out: &mut Vec<u8>);
    fn read_all(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! elements {
    ($($type:ty = $dtype:literal),+) => {$(
        impl Element for $type {
            const DTYPE: &'static str = $dtype;

            fn write_all(values: &[Self], out: &mut Vec<u8>) {
                out.reserve(std::mem::size_of_val(values));
                for value in values {
                    out.extend_from_slice(&value.to_le_bytes());
                }
            }

            fn read_all(bytes: &[u8]) -> Vec<Self> {
                bytes
                    .as_chunks::<{ size_of::<$type>() }>()
                    .0
                    .iter()
                    .map(|chunk| <$type>::from_le_bytes(*chunk))
                    .collect()
            }
        }
    )+};
}

elements!(u8 = "uint8", u16 = "uint16", u32 = "uint32", u64 = "uint64", i16 = "int16", i32 = "int32", i64 = "int64");

/// Reads what was written in order; every length is checked against what is there.
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Corrupt("the bytes end early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub fn count(&mut self) -> Result<usize, Corrupt> {
        Ok(u32::read_all(self.take(4)?)[0] as usize)
    }

    pub fn column<E: Element>(&mut self, rows: usize) -> Result<Vec<E>, Corrupt> {
        Ok(E::read_all(self.take(rows * size_of::<E>())?))
    }

    pub fn blob(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.count()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.blob()?).map_err(|_| Corrupt("a text is not UTF-8"))
    }

    /// Says that nothing may be left.
    pub fn end(&self) -> Result<(), Corrupt> {
        if self.bytes.is_empty() { Ok(()) } else { Err(Corrupt("bytes are left over")) }
    }
}

/// Writes a length and the bytes.
pub fn write_blob(bytes: &[u8], out: &mut Vec<u8>) {
    write_count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Writes a count; more than 2^32 cannot occur below the body limit.
pub fn write_count(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

/// Defines a table, its row and its layout.
#[macro_export]
macro_rules! columns {
    ($(#[$meta:meta])* $table:ident of $row:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $row { $($(#[$field_meta])* pub $field: $type),+ }

        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $table { $(pub $field: Vec<$type>),+ }

        impl $table {
            /// Name and numpy type of each column, in order.
            pub const LAYOUT: &'static [(&'static str, &'static str)] =
                &[$((stringify!($field), <$type as $crate::columns::Element>::DTYPE)),+];

            pub fn with_capacity(rows: usize) -> Self {
                $table { $($field: Vec::with_capacity(rows)),+ }
            }

            pub fn push(&mut self, row: $row) {
                $(self.$field.push(row.$field);)+
            }

            pub fn row(&self, index: usize) -> $row {
                $row { $($field: self.$field[index]),+ }
            }

            pub fn write(&self, out: &mut Vec<u8>) {
                let rows = [$(self.$field.len()),+][0];
                $crate::columns::write_count(rows, out);
                $($crate::columns::Element::write_all(&self.$field, out);)+
            }

            pub fn read(reader: &mut $crate::columns::Reader<'_>) -> Result<Self, $crate::columns::Corrupt> {
                let rows = reader.count()?;
                Ok($table { $($field: reader.column(rows)?),+ })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    columns! { Pairs of Pair { left: u16, right: i64 } }

    #[test]
    fn a_table_survives_the_way() {
        let mut pairs = Pairs::with_capacity(2);
        pairs.push(Pair { left: 7, right: -1 });
        pairs.push(Pair { left: 65535, right: i64::MIN });
        assert_eq!(pairs.row(0), Pair { left: 7, right: -1 });
        let mut bytes = Vec::new();
        pairs.write(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Pairs::read(&mut reader), Ok(pairs));
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(Pairs::with_capacity(1), Pairs::default());
        assert_eq!(Pairs { left: vec![3], right: vec![4] }.row(0), Pair { left: 3, right: 4 });
        assert_eq!(Pairs::LAYOUT, [("left", "uint16"), ("right", "int64")]);
    }

    #[test]
    fn short_bytes_are_refused() {
        let mut bytes = Vec::new();
        Pairs { left: vec![1, 2], right: vec![3, 4] }.write(&mut bytes);
        for length in 0..bytes.len() {
            assert!(Pairs::read(&mut Reader::new(&bytes[..length])).is_err());
        }
    }
}
