//! Addresses and networks.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// An address, or all addresses that begin with the same bits, written `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Whether an address lies in it. An IPv4 address that comes over IPv6 counts as what it is.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let (own, ownbits) = number(self.address);
        let (other, otherbits) = number(address.to_canonical());
        let shift = ownbits.saturating_sub(self.bits);
        // A shift by the whole width is none to Rust: all addresses are alike then.
        ownbits == otherbits && own.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
    }
}

/// An address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u32::from(address).into(), 32),
        IpAddr::V6(address) => (address.into(), 128),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (address, bits) =
            text.split_once('/').map_or((text.as_str(), None), |(address, bits)| (address, Some(bits)));
        let parsed = address.parse::<IpAddr>().ok().and_then(|address| {
            let width = number(address).1;
            let bits = bits.map_or(Some(width), |bits| bits.parse().ok().filter(|bits| *bits <= width))?;
            Some(Self { address, bits })
        });
        parsed.ok_or_else(|| format!("{text:?} is no address and no network, such as 192.0.2.0/24"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn addresses_and_networks_hold_what_they_say() {
        let holds = |text: &str, address: &str| network(text).holds(address.parse().unwrap());
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("192.0.2.0/24", "192.0.2.255") && !holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("192.0.2.0/24", "::ffff:192.0.2.1"), "an IPv4 address over IPv6");
        assert!(holds("2001:db8::/32", "2001:db8:7::1") && !holds("2001:db8::/32", "2001:db9::1"));
        for wrong in ["", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "host", "2001:db8::/129", "192.0.2.0/-1"] {
            assert!(Network::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_network_holds_just_the_addresses_with_its_bits(own: u32, other: u32, bits in 0u32..=32) {
            let held = network(&format!("{}/{bits}", std::net::Ipv4Addr::from(own))).holds(IpAddr::V4(other.into()));
            prop_assert_eq!(held, (own ^ other).leading_zeros() >= bits);
        }

        #[test]
        fn what_is_written_is_read_again(own: u128, bits in 0u32..=128) {
            let network = network(&format!("{}/{bits}", std::net::Ipv6Addr::from(own)));
            prop_assert_eq!(Network::try_from(network.to_string()), Ok(network));
        }
    }
}
