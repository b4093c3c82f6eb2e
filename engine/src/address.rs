//! Which addresses a channel could use.

use email_address::{EmailAddress, Options};

use crate::recipient::has_control;
use crate::words::{Channel, ChannelMask, channels_of};

/// No channel takes a longer one (the longest e-mail address: 64 bytes, `@`, 255 bytes).
pub const BYTES_MAX: usize = 320;

/// The longest handle or account id.
const HANDLE_BYTES_MAX: usize = 256;

/// Whether the channel could use the address. What becomes stricter here needs a new format of the state: what a profile
/// holds was usable when it came, and is not checked again.
fn is_usable(channel: Channel, address: &str) -> bool {
    if address.len() > BYTES_MAX || breaks_a_line(address) {
        return false;
    }
    match channel {
        Channel::Email => is_email(address),
        Channel::Sms | Channel::Whatsapp => is_phone(address),
        Channel::Instagram | Channel::Facebook | Channel::Linkedin | Channel::Twitter => {
            address.len() <= HANDLE_BYTES_MAX && !address.trim().is_empty()
        }
    }
}

/// Those of the addresses given for channels, in channel order, that these could use.
pub fn usable<'a>(
    given: ChannelMask,
    addresses: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = (Channel, &'a str)> {
    channels_of(given).zip(addresses).filter(|(channel, address)| is_usable(*channel, address))
}

/// What is said of an address that is left out.
pub fn warning(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "contacts.email: not an address that e-mail can use; the channel is left out",
        Channel::Sms => "contacts.sms: not an E.164 phone number such as +50937001234; the channel is left out",
        Channel::Whatsapp => {
            "contacts.whatsapp: not an E.164 phone number such as +50937001234; the channel is left out"
        }
        Channel::Instagram => "contacts.instagram: not an account that can be used; the channel is left out",
        Channel::Facebook => "contacts.facebook: not an account that can be used; the channel is left out",
        Channel::Linkedin => "contacts.linkedin: not an account that can be used; the channel is left out",
        Channel::Twitter => "contacts.twitter: not an account that can be used; the channel is left out",
    }
}

/// Whether it holds a control character, or one of the two separators that break lines without being one.
fn breaks_a_line(address: &str) -> bool {
    has_control(address) || !address.is_ascii() && address.contains(['\u{2028}', '\u{2029}'])
}

/// An address by RFC 5321 with a dotted domain; neither a name around it nor white space in it.
fn is_email(address: &str) -> bool {
    let bare = !address.bytes().any(|byte| matches!(byte, b' ' | b'<' | b'>'));
    let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
    bare && EmailAddress::parse_with_options(address, options).is_ok()
}

/// E.164: `+`, a digit that is not zero, 6 to 14 digits more.
fn is_phone(address: &str) -> bool {
    match address.as_bytes() {
        [b'+', b'1'..=b'9', rest @ ..] => (6..=14).contains(&rest.len()) && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails() {
        for usable in
            ["ana@example.com", "a.b+c@mail.example.co", "o'hara@x-y.org", "é@exämple.com", "\u{7530}@\u{4f8b}.jp"]
        {
            assert!(is_usable(Channel::Email, usable), "{usable}");
        }
        for unusable in [
            "",
            " ",
            "ana",
            "ana@",
            "@example.com",
            "ana@localhost",
            "ana@@example.com",
            "ana@example..com",
            "ana@.com",
            "ana@example.com\n",
            "a\r\nBcc: b@example.com",
            "Ana <ana@example.com>",
            " <ana@example.com>",
            " ana@example.com",
            "ana@exam\u{3000}ple.com",
            "\"a b\"@example.com",
            "ana@[127.0.0.1]",
            "ana@example.com\u{2028}",
            "ana@-example.com",
            "a..b@example.com",
        ] {
            assert!(!is_usable(Channel::Email, unusable), "{unusable:?}");
        }
        assert!(!is_usable(Channel::Email, &format!("{}@example.com", "a".repeat(320))));
    }

    #[test]
    fn phones() {
        for channel in [Channel::Sms, Channel::Whatsapp] {
            for usable in ["+50937001234", "+1555012", "+123456789012345"] {
                assert!(is_usable(channel, usable), "{usable}");
            }
            for unusable in
                ["", "50937001234", "+0937001234", "+155501", "+1234567890123456", "+1555 0123", "+155501２3"]
            {
                assert!(!is_usable(channel, unusable), "{unusable}");
            }
        }
    }

    #[test]
    fn accounts() {
        assert!(is_usable(Channel::Twitter, "@ana"));
        assert!(is_usable(Channel::Facebook, &"a".repeat(256)));
        for unusable in ["", "  ", "a\0b", "a\nb", "a\u{85}b"] {
            assert!(!is_usable(Channel::Instagram, unusable), "{unusable:?}");
        }
        assert!(!is_usable(Channel::Linkedin, &"a".repeat(257)));
    }

    #[test]
    fn warnings_name_their_channel() {
        for channel in Channel::ALL {
            assert!(warning(*channel).starts_with(&format!("contacts.{}: ", channel.text())));
        }
    }
}
