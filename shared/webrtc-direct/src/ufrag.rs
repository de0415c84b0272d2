//! The user names by which a server knows a client's ICE credentials without having been told.
//!
//! A STUN request names both ends by their user name fragments: `SERVER:CLIENT`. What the server's is, the client has chosen,
//! and its beginning tells the version of the protocol. In version 1 both fragments and both passwords are one text. In version 2
//! the client's are its own, and its password is what follows the beginning; the server's password is its fragment.

use std::fmt;

const VERSION_1: &str = "libp2p+webrtc+v1/";
const VERSION_2: &str = "libp2p+webrtc+v2/";

/// Characters of a user name fragment: at least so many, at most [`MAX_CHARACTERS`] (RFC 8839, section 5.4).
const MIN_FRAGMENT_CHARACTERS: usize = 4;
/// Characters of a password: at least so many, at most [`MAX_CHARACTERS`].
const MIN_PASSWORD_CHARACTERS: usize = 22;
/// The most characters that either may have. All of them are single bytes.
pub const MAX_CHARACTERS: usize = 256;

/// How the client's credentials stand in the server's user name fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The client has replaced its own by the server's.
    One,
    /// The client's password is what follows the beginning.
    Two,
}

/// Why a user name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not two fragments with a colon between.
    #[error("a STUN user name is not two user name fragments")]
    NotTwo,
    /// A fragment or a password is shorter or longer than it may be.
    #[error("ICE credentials have a length that they may not have")]
    Length,
    /// A fragment or a password has another character than letters, digits, `+` and `/`.
    #[error("ICE credentials have a character that they may not have")]
    Character,
    /// The server's fragment has no beginning that is known.
    #[error("a STUN user name is of no known version of WebRTC-direct")]
    Version,
}

/// A user name in which everything was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserName<'a> {
    version: Version,
    server: &'a str,
    client: &'a str,
}

impl<'a> UserName<'a> {
    /// Reads what a client puts into its STUN requests.
    ///
    /// # Errors
    /// [`Error`]. Nothing was allocated for it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        // Before they are looked at one by one.
        if bytes.len() > 2 * MAX_CHARACTERS + 1 {
            return Err(Error::Length);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Character)?;
        let (server, client) = text.split_once(':').ok_or(Error::NotTwo)?;
        for fragment in [server, client] {
            check(fragment, MIN_FRAGMENT_CHARACTERS)?;
        }
        let version = match server {
            _ if server.starts_with(VERSION_1) => Version::One,
            _ if server.starts_with(VERSION_2) => Version::Two,
            _ => return Err(Error::Version),
        };
        let name = Self { version, server, client };
        for password in [name.server_password(), name.client_password()] {
            check(password, MIN_PASSWORD_CHARACTERS)?;
        }
        Ok(name)
    }

    /// Which version the client speaks.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The server's user name fragment.
    pub const fn server(&self) -> &'a str {
        self.server
    }

    /// The client's user name fragment.
    pub const fn client(&self) -> &'a str {
        self.client
    }

    /// The password by which the client's requests are signed, and the server's answers.
    pub const fn server_password(&self) -> &'a str {
        self.server
    }

    /// The password by which requests of the server's would be signed.
    pub fn client_password(&self) -> &'a str {
        match self.version {
            Version::One => self.client,
            Version::Two => &self.server[VERSION_2.len()..],
        }
    }
}

impl fmt::Display for UserName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.server, self.client)
    }
}

/// The user name fragment and the password of both ends in version 1. `random` is some twenty letters and digits.
///
/// # Errors
/// [`Error`] if `random` is too short, too long or of other characters.
pub fn shared(random: &str) -> Result<String, Error> {
    formatted(VERSION_1, random)
}

/// The server's user name fragment and password in version 2, from the password that the client has.
///
/// # Errors
/// [`Error`] if the password is none, or too long to be part of the server's.
pub fn server(client_password: &str) -> Result<String, Error> {
    check(client_password, MIN_PASSWORD_CHARACTERS)?;
    formatted(VERSION_2, client_password)
}

fn formatted(version: &str, rest: &str) -> Result<String, Error> {
    let text = [version, rest].concat();
    check(&text, MIN_PASSWORD_CHARACTERS)?;
    Ok(text)
}

fn check(text: &str, min: usize) -> Result<(), Error> {
    if !(min..=MAX_CHARACTERS).contains(&text.len()) {
        return Err(Error::Length);
    }
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')) {
        Ok(())
    } else {
        Err(Error::Character)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "abcdefghijklmnopqrstuvwx";

    fn parsed(text: &str) -> Result<(Version, &str, &str, &str, &str), Error> {
        let name = UserName::parse(text.as_bytes())?;
        assert_eq!(name.to_string(), text);
        Ok((name.version(), name.server(), name.server_password(), name.client(), name.client_password()))
    }

    #[test]
    fn version_1_is_one_text_for_everything() {
        let shared = shared("0123456789").unwrap();
        assert_eq!(shared, "libp2p+webrtc+v1/0123456789");
        let text = format!("{shared}:{shared}");
        assert_eq!(parsed(&text), Ok((Version::One, &shared[..], &shared[..], &shared[..], &shared[..])));
    }

    #[test]
    fn version_2_has_the_clients_password_in_the_servers_fragment() {
        let server = server(PASSWORD).unwrap();
        assert_eq!(server, "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwx");
        let text = format!("{server}:Own+");
        assert_eq!(parsed(&text), Ok((Version::Two, &server[..], &server[..], "Own+", PASSWORD)));
    }

    #[test]
    fn what_is_no_user_name_is_refused() {
        let long = "a".repeat(MAX_CHARACTERS);
        for (text, error) in [
            (String::new(), Error::NotTwo),
            (format!("{VERSION_1}0123456789"), Error::NotTwo),
            (format!(":{VERSION_1}0123456789"), Error::Length),
            (format!("{VERSION_2}{PASSWORD}:"), Error::Length),
            (format!("{VERSION_2}{PASSWORD}:abc"), Error::Length),
            (format!("{VERSION_2}{PASSWORD}:ab:cd"), Error::Character),
            (format!("{VERSION_2}{PASSWORD}:ab\r\na=candidate"), Error::Character),
            (format!("{VERSION_2}{PASSWORD}:abécd"), Error::Character),
            (format!("{VERSION_2}{PASSWORD} :abcd"), Error::Character),
            ("abcdefghijklmnopqrstuvwxyz:abcdefghijklmnopqrstuvwxyz".into(), Error::Version),
            (format!("libp2p+webrtc+v3/{PASSWORD}:abcd"), Error::Version),
            // What is left is no password.
            (format!("{VERSION_2}short:abcd"), Error::Length),
            (format!("{VERSION_1}abc:{VERSION_1}abc"), Error::Length),
            (format!("{VERSION_1}abcdefgh:abcd"), Error::Length),
            (format!("{VERSION_2}{long}:abcd"), Error::Length),
            (format!("{VERSION_2}{PASSWORD}:a{long}"), Error::Length),
            (format!("{long}{long}:abcd"), Error::Length),
        ] {
            assert_eq!(parsed(&text), Err(error), "{text:?}");
        }
        assert_eq!(UserName::parse(&[0xff; 60]), Err(Error::Character));
        assert_eq!(server("tooshort"), Err(Error::Length));
        assert_eq!(server(&long), Err(Error::Length));
        assert_eq!(server("abcdefghijklmnopqrstuvw:"), Err(Error::Character));
        assert_eq!(shared("abcd"), Err(Error::Length));
    }

    proptest! {
        #[test]
        fn any_password_of_a_browser_comes_back(password in "[a-zA-Z0-9+/]{22,239}", client in "[a-zA-Z0-9+/]{4,256}") {
            let text = format!("{}:{client}", server(&password).unwrap());
            let name = UserName::parse(text.as_bytes()).unwrap();
            prop_assert_eq!((name.client_password(), name.client()), (&password[..], &client[..]));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(name) = UserName::parse(&bytes) {
                prop_assert_eq!(name.to_string().into_bytes(), bytes);
            }
        }
    }
}
