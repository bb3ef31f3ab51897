package ergon_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
)

// R111: a number that does not fit its field is part of the payload, and not of the
// error; which field it is, is.
func TestJSONErrorsHideTheNumber(t *testing.T) {
	var to struct {
		N int8 `json:"n"`
	}
	err := ergon.JSON.Unmarshal([]byte(`{"n": 4111111111111111}`), &to)
	require.ErrorContains(t, err, "field n is a number that does not fit int8")
	require.NotContains(t, err.Error(), "4111")
	var n int8
	err = ergon.JSON.Unmarshal([]byte("4111111111111111"), &n)
	require.ErrorContains(t, err, "the value is a number that does not fit int8")
	require.NotContains(t, err.Error(), "4111")
	require.ErrorContains(t, ergon.JSON.Unmarshal([]byte("{"), &to), "unexpected end")
	require.NoError(t, ergon.JSON.Unmarshal([]byte(`{"n": 4}`), &to))
}
