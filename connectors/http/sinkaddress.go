package http

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// deniedError is an address to which nothing is sent.
type deniedError struct{ address netip.Addr }

func (e *deniedError) Error() string {
	return fmt.Sprintf("%v is a private or special address, and private_addresses denies these", e.address)
}

// guard is asked by the dialer with the address that it is about to connect to, after
// the name was resolved. So neither a name that means another address a moment later
// nor a redirect gets past it.
func guard(except []netip.Prefix) func(ctx context.Context, network, address string, _ syscall.RawConn) error {
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("connect to %q: it is no address: %w", address, err)
		}
		addr := to.Addr().WithZone("").Unmap()
		for _, p := range except {
			if p.Contains(addr) {
				return nil
			}
		}
		if isPrivate(addr) {
			return &deniedError{addr}
		}
		return nil
	}
}

// special are addresses beside those that netip knows that lead to no host of the
// public internet, or into the own network by another way.
func special() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),        // this network
		netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT; a cloud's metadata
		netip.MustParsePrefix("168.63.129.16/32"), // Azure's metadata, a public address for all but its machines
		netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments; a cloud's metadata
		netip.MustParsePrefix("192.0.2.0/24"),     // documentation
		netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
		netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
		netip.MustParsePrefix("198.51.100.0/24"),  // documentation
		netip.MustParsePrefix("203.0.113.0/24"),   // documentation
		netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and broadcast
		netip.MustParsePrefix("::/96"),            // IPv4-compatible
		netip.MustParsePrefix("64:ff9b:1::/48"),   // local NAT64
		netip.MustParsePrefix("100::/64"),         // discard
		netip.MustParsePrefix("2001::/23"),        // protocol assignments, Teredo among them
		netip.MustParsePrefix("2001:db8::/32"),    // documentation
		netip.MustParsePrefix("2002::/16"),        // 6to4, which has an IPv4 address in it
		netip.MustParsePrefix("fec0::/10"),        // site-local
	}
}

// isPrivate reports whether an address is no host of the public internet. It is
// called once per connection.
func isPrivate(addr netip.Addr) bool {
	if !addr.IsGlobalUnicast() || addr.IsPrivate() { // loopback, link-local, multicast, unspecified; RFC 1918, ULA
		return true
	}
	for _, p := range special() {
		if p.Contains(addr) {
			return true
		}
	}
	if nat64 := netip.MustParsePrefix("64:ff9b::/96"); nat64.Contains(addr) {
		b := addr.As16()
		return isPrivate(netip.AddrFrom4([4]byte(b[12:])))
	}
	return false
}
