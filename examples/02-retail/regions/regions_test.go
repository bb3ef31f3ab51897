package regions_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon/examples/02-retail/regions"
)

// The 38 countries of the UCI "Online Retail" data set.
func TestOf(t *testing.T) {
	t.Parallel()
	lookup := regions.New()
	seen := 0
	for region, countries := range map[string][]string{
		"UK and Ireland": {"United Kingdom", "EIRE", "Channel Islands"},
		"Europe": {
			"Austria", "Belgium", "Cyprus", "Czech Republic", "Denmark", "European Community", "Finland", "France", "Germany", "Greece",
			"Iceland", "Italy", "Lithuania", "Malta", "Netherlands", "Norway", "Poland", "Portugal", "Spain", "Sweden", "Switzerland",
		},
		"Asia-Pacific":         {"Australia", "Hong Kong", "Japan", "Singapore"},
		"Americas":             {"Brazil", "Canada", "USA"},
		"Middle East & Africa": {"Bahrain", "Israel", "Lebanon", "RSA", "Saudi Arabia", "United Arab Emirates"},
		"Other":                {"Unspecified"},
	} {
		for _, country := range countries {
			got, err := lookup.Of(t.Context(), country)
			require.NoError(t, err)
			require.Equal(t, region, got, country)
			seen++
		}
	}
	require.Equal(t, 38, seen)
}

func TestOfAnUnknownCountry(t *testing.T) {
	t.Parallel()
	for _, country := range []string{"", "Atlantis", "united kingdom"} {
		got, err := regions.New().Of(t.Context(), country)
		require.NoError(t, err)
		require.Equal(t, regions.Other, got)
	}
}

func TestOfWithoutTime(t *testing.T) {
	t.Parallel()
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	_, err := regions.New().Of(ctx, "France")
	require.ErrorIs(t, err, late)
}
