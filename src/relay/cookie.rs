//! Cookies: whoever sends one back receives what is sent to his address.
//!
//! A cookie is a keyed hash over address and port, so that the relay need not
//! remember anybody. The key changes, and the one before it is good for as long
//! again.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::protocol::{Cookie, canonical};
use crate::rate_limiter::RateLimiter;

/// How often the key changes: a cookie is good for this time at least, and for
/// twice this time at most.
const EPOCH: Duration = Duration::from_secs(120);

/// So short that even `PING` is answered by a cookie within three times its
/// length. That is 35 bits, and two keys are good: who writes somebody else's
/// address hits one in 2^34 times and does not see when. A million datagrams a
/// second are five hours for one of them.
const LENGTH: usize = 7;

/// RFC 4648, section 6, in small letters.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

type Key = [u8; blake3::KEY_LEN];

/// Gives cookies out and knows them again.
pub(super) struct Cookies {
    secret: Key,
    began: Instant,
    epoch: u64,
    /// The key of this epoch, and the one before.
    keys: [Key; 2],
    /// Wrong ones that are answered in a second.
    rate: u32,
    pace: RateLimiter,
    wrong: u64,
}

impl Cookies {
    pub(super) fn new(secret: Key, rate: u32, now: Instant) -> Self {
        let mut cookies = Self {
            secret,
            began: now,
            epoch: 0,
            keys: [[0; blake3::KEY_LEN]; 2],
            rate,
            pace: RateLimiter::new(rate, now),
            wrong: 0,
        };
        cookies.renew();
        cookies
    }

    /// The cookie of whoever is at this address.
    pub(super) fn give(&mut self, now: Instant, to: SocketAddr) -> Cookie {
        self.turn_to(now);
        let letters = letters(&self.keys[0], to);
        // Seven letters of the alphabet are a cookie.
        let text = std::str::from_utf8(&letters).unwrap_or_default();
        text.parse().expect("letters and digits")
    }

    /// Whether this cookie was given to that address, and lately.
    pub(super) fn knows(&mut self, now: Instant, from: SocketAddr, cookie: &Cookie) -> bool {
        self.turn_to(now);
        let given = number(cookie.as_str().as_bytes());
        let is_of = |key| number(&letters(key, from)) == given;
        self.keys.iter().any(is_of)
    }

    /// A wrong one came. Returns whether to answer: a flood of them is dropped.
    pub(super) fn count_wrong(&mut self, now: Instant) -> bool {
        self.wrong += 1;
        self.pace.allows(self.rate, now)
    }

    /// How many wrong ones came.
    pub(super) fn wrong(&self) -> u64 {
        self.wrong
    }

    fn turn_to(&mut self, now: Instant) {
        let epoch = now.saturating_duration_since(self.began).as_secs() / EPOCH.as_secs();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.renew();
        }
    }

    fn renew(&mut self) {
        // Epochs begin with 1, so that there is one before the first.
        let key = |number: u64| *blake3::keyed_hash(&self.secret, &number.to_le_bytes()).as_bytes();
        self.keys = [key(self.epoch + 1), key(self.epoch)];
    }
}

/// The cookie that a key makes for an address.
fn letters(key: &Key, to: SocketAddr) -> [u8; LENGTH] {
    let mut input = [0; 18];
    let ip = match canonical(to.ip()) {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    input[..16].copy_from_slice(&ip.octets());
    input[16..].copy_from_slice(&to.port().to_be_bytes());
    let hash = blake3::keyed_hash(key, &input);
    let mut letters = [0; LENGTH];
    for (letter, byte) in letters.iter_mut().zip(hash.as_bytes()) {
        *letter = BASE32[usize::from(byte % 32)];
    }
    letters
}

/// As one number, so that to compare two takes always the same time.
fn number(letters: &[u8]) -> u128 {
    let shifted = letters.iter().map(|letter| u128::from(*letter));
    shifted.fold(0, |number, letter| number << 8 | letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_cookie_is_good_for_its_address_and_port_only() {
        let now = Instant::now();
        let mut cookies = Cookies::new([7; 32], 1, now);
        let cookie = cookies.give(now, at("192.0.2.1:5"));
        assert_eq!(cookie.as_str().len(), LENGTH);
        assert!(cookies.knows(now, at("192.0.2.1:5"), &cookie));
        assert!(cookies.knows(now, at("[::ffff:192.0.2.1]:5"), &cookie));
        for other in ["192.0.2.1:6", "192.0.2.2:5", "[2001:db8::1]:5"] {
            assert!(!cookies.knows(now, at(other), &cookie), "{other}");
        }
        let longer: Cookie = format!("a{cookie}").parse().expect("a word");
        assert!(!cookies.knows(now, at("192.0.2.1:5"), &longer));
        let mut others = Cookies::new([8; 32], 1, now);
        assert!(!others.knows(now, at("192.0.2.1:5"), &cookie));
    }

    #[test]
    fn a_cookie_is_good_for_two_minutes_and_not_for_ever() {
        let began = Instant::now();
        let from = at("192.0.2.1:5");
        for given in [0, 1, 60, 119, 120, 1000] {
            let mut cookies = Cookies::new([7; 32], 1, began);
            let given = began + Duration::from_secs(given);
            let cookie = cookies.give(given, from);
            assert!(cookies.knows(given + EPOCH, from, &cookie));
            assert!(!cookies.knows(given + 2 * EPOCH, from, &cookie));
        }
    }

    #[test]
    fn a_flood_of_wrong_cookies_is_dropped() {
        let now = Instant::now();
        let mut cookies = Cookies::new([7; 32], 5, now);
        let answered = (0..100).filter(|_| cookies.count_wrong(now)).count();
        assert_eq!((answered, cookies.wrong()), (5, 100));
        assert!(cookies.count_wrong(now + Duration::from_secs(1)));
    }
}
