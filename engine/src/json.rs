//! JSON as it comes from outside: one pass over a body, no tree, nothing trusted.

use std::borrow::Cow;

use hashbrown::HashSet;
use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, LinePosition, Peek};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use crate::fault::{Fault, FieldError, push_segment};

/// How long a body may be.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How deep objects and arrays may nest; the outermost is level 1.
pub const DEPTH_MAX: usize = 64;

/// How many keys an object may have where keys are checked for repeats; it bounds what the check remembers.
pub const KEYS_MAX: usize = 16_384;

/// Up to here the keys of an object are compared one by one.
const KEYS_FEW: usize = 16;

/// Why a body cannot be read on, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub path: String,
    pub message: Cow<'static, str>,
    pub index: usize,
}

impl Broken {
    fn new(message: impl Into<Cow<'static, str>>, index: usize) -> Self {
        Broken { path: String::new(), message: message.into(), index }
    }

    /// The 400 that says where in the body it broke.
    pub fn into_fault(self, body: &[u8]) -> Fault {
        let LinePosition { line, column } = LinePosition::find(body, self.index);
        let message = format!("{} at line {line}, column {column}", self.message);
        let error = FieldError { path: self.path.into(), message: message.into() };
        let told = if error.path.is_empty() { error.message.to_string() } else { error.told() };
        Fault { status: 400, detail: format!("The body cannot be read: {told}."), errors: vec![error] }
    }
}

impl From<JiterError> for Broken {
    fn from(error: JiterError) -> Self {
        let message: Cow<'static, str> = match error.error_type {
            JiterErrorType::JsonError(JsonErrorType::NumberOutOfRange) => "a number has too many digits".into(),
            JiterErrorType::JsonError(JsonErrorType::ExpectedSomeIdent) => "expected value".into(),
            other => other.to_string().into(),
        };
        Broken::new(message, error.index)
    }
}

/// The body as text, refused with 413 if it is too long; a 400 says at which byte it stops being UTF-8.
pub fn utf8(body: &[u8]) -> Result<&str, Fault> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Fault::one(413, "", "takes up to 64 MiB"));
    }
    simdutf8::basic::from_utf8(body).map_err(|_| {
        let index = simdutf8::compat::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
        Fault::one(400, "", format!("is not UTF-8 at byte {index}"))
    })
}

/// A place in a body, moved on value by value. Syntax, depth and escapes are checked on the way.
pub struct Cursor<'j> {
    body: &'j str,
    jiter: Jiter<'j>,
    depth: usize,
}

impl<'j> Cursor<'j> {
    pub fn new(body: &'j str) -> Self {
        Cursor { body, jiter: Jiter::new(body.as_bytes()), depth: 0 }
    }

    /// What the next value is, by its first byte.
    pub fn peek(&mut self) -> Result<Peek, Broken> {
        Ok(self.jiter.peek()?)
    }

    /// The byte that comes next.
    pub fn index(&self) -> usize {
        self.jiter.current_index()
    }

    /// The bytes from an earlier `index` to here.
    pub fn since(&self, start: usize) -> &'j [u8] {
        self.jiter.slice_to_current(start)
    }

    /// Enters the object that `peek` saw: what `read` makes of its first key, None if it has none.
    pub fn first_key<T>(&mut self, read: impl FnOnce(&str) -> T) -> Result<Option<T>, Broken> {
        self.enter()?;
        let key = self.jiter.known_object()?.map(read);
        self.leave_if(key.is_none());
        Ok(key)
    }

    /// The next key of the object, None at its end.
    pub fn next_key<T>(&mut self, read: impl FnOnce(&str) -> T) -> Result<Option<T>, Broken> {
        let key = self.jiter.next_key()?.map(read);
        self.leave_if(key.is_none());
        Ok(key)
    }

    /// Enters the array that `peek` saw: its first item, None if it has none.
    pub fn first_item(&mut self) -> Result<Option<Peek>, Broken> {
        self.enter()?;
        let item = self.jiter.known_array()?;
        self.leave_if(item.is_none());
        Ok(item)
    }

    /// The next item of the array, None at its end.
    pub fn next_item(&mut self) -> Result<Option<Peek>, Broken> {
        let item = self.jiter.array_step()?;
        self.leave_if(item.is_none());
        Ok(item)
    }

    /// The string that `peek` saw; borrowed from the body unless it holds escapes.
    pub fn text(&mut self) -> Result<Cow<'j, str>, Broken> {
        let quote = self.jiter.current_index();
        let decoded_length = self.jiter.known_str()?.len();
        let end = self.jiter.current_index() - 1;
        // Every escape is longer than what it stands for: only a string without any keeps its length.
        if decoded_length == end - quote - 1 {
            return Ok(Cow::Borrowed(&self.body[quote + 1..end]));
        }
        let mut again = Jiter::new(self.jiter.slice_to_current(quote));
        Ok(Cow::Owned(again.next_str()?.to_owned()))
    }

    /// Passes over the value that `peek` saw.
    pub fn skip(&mut self, peek: Peek) -> Result<(), Broken> {
        match peek {
            Peek::Object => {
                let mut key = self.first_key(|_| ())?;
                while key.is_some() {
                    let value = self.peek()?;
                    self.skip(value)?;
                    key = self.next_key(|_| ())?;
                }
                Ok(())
            }
            Peek::Array => {
                let mut item = self.first_item()?;
                while let Some(value) = item {
                    self.skip(value)?;
                    item = self.next_item()?;
                }
                Ok(())
            }
            scalar => Ok(self.jiter.known_skip(scalar)?),
        }
    }

    /// Passes over the value that `peek` saw, checking that no object in it gives a key twice.
    /// `path` is where the value is; a fault carries the path of the key.
    pub fn check(&mut self, peek: Peek, path: &mut String) -> Result<(), Broken> {
        let length = path.len();
        match peek {
            Peek::Object => {
                let mut keys = Keys::default();
                let note = |path: &mut String, keys: &mut Keys, key: &str| {
                    path.truncate(length);
                    push_segment(path, key);
                    keys.note(key)
                };
                let mut noted = self.first_key(|key| note(path, &mut keys, key))?;
                while let Some(result) = noted {
                    let broken = |message| Broken { path: path.clone(), message, index: self.index() };
                    result.map_err(|message| broken(message.into()))?;
                    let value = self.peek()?;
                    self.check(value, path)?;
                    noted = self.next_key(|key| note(path, &mut keys, key))?;
                }
            }
            Peek::Array => {
                let mut digits = itoa::Buffer::new();
                let mut item = self.first_item()?;
                for index in 0_usize.. {
                    let Some(value) = item else { break };
                    path.truncate(length);
                    path.push('/');
                    path.push_str(digits.format(index));
                    self.check(value, path)?;
                    item = self.next_item()?;
                }
            }
            scalar => self.jiter.known_skip(scalar)?,
        }
        path.truncate(length);
        Ok(())
    }

    /// Says that nothing but white space may follow.
    pub fn finish(&mut self) -> Result<(), Broken> {
        Ok(self.jiter.finish()?)
    }

    fn enter(&mut self) -> Result<(), Broken> {
        if self.depth == DEPTH_MAX {
            return Err(Broken::new(format!("objects and arrays nest deeper than {DEPTH_MAX} levels"), self.index()));
        }
        self.depth += 1;
        Ok(())
    }

    fn leave_if(&mut self, ended: bool) {
        self.depth -= usize::from(ended);
    }
}

/// The keys of one object, by their hashes: two different keys with one hash do not occur by chance.
#[derive(Default)]
struct Keys {
    few: SmallVec<[u64; KEYS_FEW]>,
    many: HashSet<u64>,
}

impl Keys {
    fn note(&mut self, key: &str) -> Result<(), &'static str> {
        let hash = xxh3_64(key.as_bytes());
        if self.few.contains(&hash) || self.many.contains(&hash) {
            return Err("is given twice");
        }
        if self.few.len() < KEYS_FEW {
            self.few.push(hash);
        } else if self.few.len() + self.many.len() < KEYS_MAX {
            self.many.insert(hash);
        } else {
            return Err("is one key too many for an object");
        }
        Ok(())
    }
}

/// Checks a whole body: UTF-8, one JSON value, depth, no key twice, nothing after it.
pub fn check(body: &[u8]) -> Result<(), Fault> {
    let mut cursor = Cursor::new(utf8(body)?);
    let mut whole = || {
        let peek = cursor.peek()?;
        cursor.check(peek, &mut String::new())?;
        cursor.finish()
    };
    whole().map_err(|broken: Broken| broken.into_fault(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &[u8]) -> Fault {
        check(body).expect_err("the body is wrong")
    }

    #[test]
    fn one_value_and_nothing_after_it() {
        for body in ["{}", " [1, -2.5e3, true, false, null, \"\\u00e9\"] ", "\"a\"", "0"] {
            assert_eq!(check(body.as_bytes()), Ok(()), "{body}");
        }
        for body in
            ["", " ", "{", "{\"a\":1", "[1,]", "{\"a\":1,}", "{a:1}", "01", "NaN", "-Infinity", "[] []", "nul", "'a'"]
        {
            assert_eq!(fault(body.as_bytes()).status, 400, "{body}");
        }
        for body in ["\"\\ud800\"", "\"\\udc00\"", "\"\\u12\"", "\"\\x\"", "\"\t\"", "\"a\0\"", "\0", "{}\0"] {
            assert_eq!(fault(body.as_bytes()).status, 400, "{body:?}");
        }
    }

    #[test]
    fn a_fault_says_where() {
        assert_eq!(fault(b"{\n \"a\": ]}").errors[0].message, "expected value at line 2, column 7");
        assert_eq!(fault(b"[\"\xff\"]").detail, "The request is not valid: the body is not UTF-8 at byte 2.");
    }

    #[test]
    fn length_is_bounded() {
        assert_eq!(fault(&vec![b' '; BODY_BYTES_MAX + 1]).status, 413);
        assert_eq!(fault(&vec![b' '; BODY_BYTES_MAX]).status, 400);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(check(nested(64).as_bytes()), Ok(()));
        assert!(fault(nested(65).as_bytes()).detail.contains("deeper than 64"));
        assert!(fault("[".repeat(100_000).as_bytes()).detail.contains("deeper than 64"));
        assert!(fault("{\"a\":".repeat(100_000).as_bytes()).detail.contains("deeper than 64"));
    }

    #[test]
    fn no_key_twice() {
        let error = &fault(b"{\"a\": [{}, {\"b\": 1, \"\\u0062\": 2}]}").errors[0];
        assert_eq!((error.path.as_ref(), error.message.as_ref()), ("/a/1/b", "is given twice at line 1, column 30"));
        let many: Vec<String> = (0..100).chain([50]).map(|key| format!("\"{key}\":0")).collect();
        assert_eq!(fault(format!("{{{}}}", many.join(",")).as_bytes()).errors[0].path, "/50");
        assert_eq!(check(b"[{\"a\":{\"a\":1}},{\"a\":2}]"), Ok(()));
        let keys: Vec<String> = (0..=KEYS_MAX).map(|key| format!("\"{key}\":0")).collect();
        assert!(fault(format!("{{{}}}", keys.join(",")).as_bytes()).detail.contains("too many"));
        assert_eq!(check(format!("{{{}}}", keys[1..].join(",")).as_bytes()), Ok(()));
    }

    #[test]
    fn endless_numbers_are_refused_unread() {
        assert!(fault("1".repeat(10_000_000).as_bytes()).detail.contains("too many digits"));
    }

    #[test]
    fn texts_are_borrowed_unless_escaped() {
        let body = r#"["plain é", "\u0041\"\n", ""]"#;
        let mut cursor = Cursor::new(body);
        let mut texts = Vec::new();
        assert_eq!(cursor.peek(), Ok(Peek::Array));
        let mut item = cursor.first_item().ok().flatten();
        while item.is_some() {
            texts.push(cursor.text().expect("a string"));
            item = cursor.next_item().ok().flatten();
        }
        assert_eq!(texts, ["plain é", "A\"\n", ""]);
        assert!(matches!(texts[0], Cow::Borrowed(_)) && matches!(texts[1], Cow::Owned(_)));
    }
}
