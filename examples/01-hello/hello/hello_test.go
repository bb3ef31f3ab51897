package hello_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ergon-framework/ergon"
	"github.com/ergon-framework/ergon/examples/01-hello/hello"
)

func TestGreeter(t *testing.T) {
	t.Parallel()
	got, err := hello.Greeter{}.Process(t.Context(), ergon.New(hello.Name{Name: "Ada"}))
	require.NoError(t, err)
	require.Equal(t, "Hello, Ada!", got.Greeting)
}

func TestGreeterGreetsNobody(t *testing.T) {
	t.Parallel()
	_, err := hello.Greeter{}.Process(t.Context(), ergon.New(hello.Name{}))
	require.ErrorIs(t, err, ergon.CategoryBusiness)
	require.EqualError(t, err, "BUSINESS: the name is empty")
}
