//! What is wrong with a request: a status, a sentence, and each fault by its path.

use std::borrow::Cow;

/// How many faults a refused request names; the rest is left out.
pub const ERRORS_MAX: usize = 100;

/// How much of a field's own name a path repeats.
const SEGMENT_BYTES_MAX: usize = 64;

/// One fault. The path is a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub path: Cow<'static, str>,
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// The fault as a part of a sentence.
    pub fn told(&self) -> String {
        match self.path.strip_prefix('/') {
            None => format!("the body {}", self.message),
            Some(path) => format!("{path} {}", self.message),
        }
    }
}

/// Faults in the order they were found, never more than a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    list: Vec<FieldError>,
    most: usize,
}

impl Errors {
    pub fn at_most(most: usize) -> Self {
        Errors { list: Vec::new(), most }
    }

    pub fn push(&mut self, path: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) {
        if !self.is_full() {
            self.list.push(FieldError { path: path.into(), message: message.into() });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether another fault would be left out.
    pub fn is_full(&self) -> bool {
        self.list.len() >= self.most
    }

    pub fn list(&self) -> &[FieldError] {
        &self.list
    }

    pub fn into_list(self) -> Vec<FieldError> {
        self.list
    }
}

/// Why a request is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub status: u16,
    pub detail: String,
    pub errors: Vec<FieldError>,
}

impl Fault {
    /// A fault with one error, told twice: by path, and as the sentence.
    pub fn one(status: u16, path: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        let error = FieldError { path: path.into(), message: message.into() };
        Fault::many(status, vec![error])
    }

    /// A fault of errors, of which the sentence tells the first.
    pub fn many(status: u16, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => "The request is not valid.".to_owned(),
            [error] => format!("The request is not valid: {}.", error.told()),
            [first, rest @ ..] => {
                format!("The request is not valid: {} (and {} more in errors).", first.told(), rest.len())
            }
        };
        Fault { status, detail, errors }
    }
}

/// Adds a field's name to a path, escaped as JSON pointers ask, a long one cut short.
pub fn push_segment(path: &mut String, name: &str) {
    path.push('/');
    let mut cut = name.len().min(SEGMENT_BYTES_MAX);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    for character in name[..cut].chars() {
        match character {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            _ => path.push(character),
        }
    }
    if cut < name.len() {
        path.push('…');
    }
}

/// The path of a field below another.
pub fn path_of(parent: &str, name: &str) -> String {
    let mut path = parent.to_owned();
    push_segment(&mut path, name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_and_bounded() {
        assert_eq!(path_of("/contacts", "a/b~c"), "/contacts/a~1b~0c");
        let long = path_of("", &"é".repeat(40));
        assert!(long.ends_with('…') && long.len() < 70, "{long}");
        assert_eq!(path_of("", &"x".repeat(64)).len(), 65);
    }

    #[test]
    fn the_sentence_tells_the_first_fault() {
        let one = Fault::one(400, "/urgency", "takes one of low, normal, high");
        assert_eq!(one.detail, "The request is not valid: urgency takes one of low, normal, high.");
        let errors = vec![one.errors[0].clone(), one.errors[0].clone()];
        assert!(Fault::many(400, errors).detail.ends_with("(and 1 more in errors)."));
    }

    #[test]
    fn errors_are_bounded() {
        let mut errors = Errors::at_most(2);
        for _ in 0..5 {
            errors.push("/a", "is wrong");
        }
        assert_eq!(errors.into_list().len(), 2);
    }
}
