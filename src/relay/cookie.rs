//! Cookies: a client that returns its cookie receives datagrams at its address.
//!
//! A cookie is a keyed hash over address and port, so that the relay stores
//! nothing per client. The key rotates; the previous key stays valid for one more
//! period.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::protocol::{Cookie, canonical};
use crate::rate_limiter::RateLimiter;

/// How often the key rotates: a cookie is valid for at least this time and at most
/// twice this time.
const KEY_PERIOD: Duration = Duration::from_secs(120);

/// Letters of a cookie. Short enough that even the reply to `PING` stays within three
/// times the request. 35 bits, with two valid keys: a sender with a forged address
/// guesses right once in 2^34 attempts and does not learn which one; at a million
/// datagrams per second that takes five hours.
const LENGTH: usize = 7;

/// The base32 alphabet (RFC 4648, section 6) in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

type Key = [u8; blake3::KEY_LEN];

/// Issues and verifies cookies.
pub(super) struct Cookies {
    secret: Key,
    started: Instant,
    period: u64,
    /// The keys of this period and of the one before.
    keys: [Key; 2],
    /// Wrong ones that are answered in a second.
    wrong_rate: u32,
    wrong_limiter: RateLimiter,
    wrong_count: u64,
}

impl Cookies {
    pub(super) fn new(secret: Key, wrong_rate: u32, now: Instant) -> Self {
        let mut cookies = Self {
            secret,
            started: now,
            period: 0,
            keys: [[0; blake3::KEY_LEN]; 2],
            wrong_rate,
            wrong_limiter: RateLimiter::new(wrong_rate, now),
            wrong_count: 0,
        };
        cookies.derive_keys();
        cookies
    }

    /// The cookie for a client address.
    pub(super) fn issue(&mut self, now: Instant, to: SocketAddr) -> Cookie {
        self.rotate_keys(now);
        let letters = encode(&self.keys[0], to);
        // Seven letters of the alphabet are a valid cookie.
        let text = std::str::from_utf8(&letters).unwrap_or_default();
        text.parse().expect("letters and digits")
    }

    /// Whether this cookie was recently issued to that address.
    pub(super) fn verify(&mut self, now: Instant, from: SocketAddr, cookie: &Cookie) -> bool {
        self.rotate_keys(now);
        let given = as_integer(cookie.as_str().as_bytes());
        let is_of = |key| as_integer(&encode(key, from)) == given;
        self.keys.iter().any(is_of)
    }

    /// Counts a wrong cookie. Returns whether to reply: a flood is dropped.
    pub(super) fn allow_wrong(&mut self, now: Instant) -> bool {
        self.wrong_count += 1;
        self.wrong_limiter.allows(self.wrong_rate, now)
    }

    /// Number of wrong cookies received.
    pub(super) fn wrong_count(&self) -> u64 {
        self.wrong_count
    }

    fn rotate_keys(&mut self, now: Instant) {
        let period = now.saturating_duration_since(self.started).as_secs() / KEY_PERIOD.as_secs();
        if period != self.period {
            self.period = period;
            self.derive_keys();
        }
    }

    fn derive_keys(&mut self) {
        // Keys are numbered from 1, so that the first period has a previous key.
        let key = |number: u64| *blake3::keyed_hash(&self.secret, &number.to_le_bytes()).as_bytes();
        self.keys = [key(self.period + 1), key(self.period)];
    }
}

/// The cookie of an address under a key.
fn encode(key: &Key, to: SocketAddr) -> [u8; LENGTH] {
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

/// The letters as one number, so that comparing two takes constant time.
fn as_integer(letters: &[u8]) -> u128 {
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
    fn a_cookie_is_valid_for_its_address_and_port_only() {
        let now = Instant::now();
        let mut cookies = Cookies::new([7; 32], 1, now);
        let cookie = cookies.issue(now, at("192.0.2.1:5"));
        assert_eq!(cookie.as_str().len(), LENGTH);
        assert!(cookies.verify(now, at("192.0.2.1:5"), &cookie));
        assert!(cookies.verify(now, at("[::ffff:192.0.2.1]:5"), &cookie));
        for other in ["192.0.2.1:6", "192.0.2.2:5", "[2001:db8::1]:5"] {
            assert!(!cookies.verify(now, at(other), &cookie), "{other}");
        }
        let longer: Cookie = format!("a{cookie}").parse().expect("a word");
        assert!(!cookies.verify(now, at("192.0.2.1:5"), &longer));
        let mut others = Cookies::new([8; 32], 1, now);
        assert!(!others.verify(now, at("192.0.2.1:5"), &cookie));
    }

    #[test]
    fn a_cookie_is_valid_for_two_to_four_minutes() {
        let started = Instant::now();
        let from = at("192.0.2.1:5");
        for given in [0, 1, 60, 119, 120, 1000] {
            let mut cookies = Cookies::new([7; 32], 1, started);
            let given = started + Duration::from_secs(given);
            let cookie = cookies.issue(given, from);
            assert!(cookies.verify(given + KEY_PERIOD, from, &cookie));
            assert!(!cookies.verify(given + 2 * KEY_PERIOD, from, &cookie));
        }
    }

    #[test]
    fn a_flood_of_wrong_cookies_is_dropped() {
        let now = Instant::now();
        let mut cookies = Cookies::new([7; 32], 5, now);
        let answered = (0..100).filter(|_| cookies.allow_wrong(now)).count();
        assert_eq!((answered, cookies.wrong_count()), (5, 100));
        assert!(cookies.allow_wrong(now + Duration::from_secs(1)));
    }
}
