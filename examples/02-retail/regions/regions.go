// Package regions is a service that the retail example's task is given: it says
// to which sales region a country belongs. Here the answer is in memory. In a
// real system it might be a call over the network, which is why it takes a
// context and can fail.
package regions

import "context"

// The regions.
const (
	UKAndIreland        = "UK and Ireland"
	Europe              = "Europe"
	Americas            = "Americas"
	AsiaPacific         = "Asia-Pacific"
	MiddleEastAndAfrica = "Middle East & Africa"
	Other               = "Other" // a country that is not known or not given
)

// Lookup finds a country's region. It must be safe for concurrent use.
type Lookup interface {
	// Of returns the region of a country, [Other] for one it does not know. An
	// error means that it could not look, and that another try may help.
	Of(ctx context.Context, country string) (string, error)
}

// New returns a Lookup that knows the countries of the UCI "Online Retail" data
// sets, under the names they have there.
func New() Lookup { return table(countries()) }

type table map[string]string

// Of does not fail before ctx ends.
func (t table) Of(ctx context.Context, country string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	if region, ok := t[country]; ok {
		return region, nil
	}
	return Other, nil
}

func countries() map[string]string {
	return map[string]string{
		"Channel Islands": UKAndIreland,
		"EIRE":            UKAndIreland,
		"United Kingdom":  UKAndIreland,

		"Austria":            Europe,
		"Belgium":            Europe,
		"Cyprus":             Europe,
		"Czech Republic":     Europe,
		"Denmark":            Europe,
		"European Community": Europe,
		"Finland":            Europe,
		"France":             Europe,
		"Germany":            Europe,
		"Greece":             Europe,
		"Iceland":            Europe,
		"Italy":              Europe,
		"Lithuania":          Europe,
		"Malta":              Europe,
		"Netherlands":        Europe,
		"Norway":             Europe,
		"Poland":             Europe,
		"Portugal":           Europe,
		"Spain":              Europe,
		"Sweden":             Europe,
		"Switzerland":        Europe,

		"Bermuda":     Americas,
		"Brazil":      Americas,
		"Canada":      Americas,
		"USA":         Americas,
		"West Indies": Americas,

		"Australia": AsiaPacific,
		"Hong Kong": AsiaPacific,
		"Japan":     AsiaPacific,
		"Korea":     AsiaPacific,
		"Singapore": AsiaPacific,
		"Thailand":  AsiaPacific,

		"Bahrain":              MiddleEastAndAfrica,
		"Israel":               MiddleEastAndAfrica,
		"Lebanon":              MiddleEastAndAfrica,
		"Nigeria":              MiddleEastAndAfrica,
		"RSA":                  MiddleEastAndAfrica,
		"Saudi Arabia":         MiddleEastAndAfrica,
		"United Arab Emirates": MiddleEastAndAfrica,
	}
}
