// Package work is what every contender does with a transaction, and how what it
// did can be checked. It knows neither NATS nor Ergon, so that no contender has
// an advantage from it.
package work

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Size is how many bytes an input has on the wire.
const Size = 256

// In is a transaction's payload.
type In struct {
	ID       int64  `json:"id"`
	Account  string `json:"account"`
	Currency string `json:"currency"`
	Amount   int64  `json:"amount"`
	Note     string `json:"note"`
}

// Out is what becomes of it.
type Out struct {
	ID       int64  `json:"id"`
	Account  string `json:"account"`
	Currency string `json:"currency"`
	Total    int64  `json:"total"`
	Note     string `json:"note"`
}

// Input makes the payload with a number, from 0 up: the same for each contender
// and each round, so what must come out of it can be computed beforehand.
func Input(id int64) In {
	in := In{ID: id, Account: fmt.Sprintf("account-%07d", id%9973), Currency: "EUR", Amount: 100 + id*7919%100_000}
	bare, err := json.Marshal(in)
	if err != nil || len(bare) > Size {
		panic(fmt.Sprintf("work: input %d has %d bytes without a note, %v: make its fields shorter", id, len(bare), err))
	}
	in.Note = strings.Repeat("abcdefghijklmnopqrstuvwxyz", 10)[:Size-len(bare)]
	return in
}

// Encoded is Input as it is stored: Size bytes of JSON.
func Encoded(id int64) []byte {
	data, err := json.Marshal(Input(id))
	if err != nil {
		panic(err) // a struct of numbers and ASCII
	}
	return data
}

// Compute is the small computation.
func Compute(in In) Out {
	fee := in.Amount*3/100 + in.ID%97
	for i := range len(in.Note) {
		fee += int64(in.Note[i] & 7)
	}
	return Out{ID: in.ID, Account: in.Account, Currency: in.Currency, Total: in.Amount + fee, Note: in.Note}
}

// The failures of a faulty workload. Both are such that may be tried again.
var (
	ErrOnce   = errors.New("the service is busy")
	ErrPoison = errors.New("the service never answers for this one")
)

// FailsOnce says which tenth of the inputs fails in its first attempt.
func FailsOnce(id int64) bool { return id%10 == 3 }

// Poison says which hundredth of the inputs fails in every attempt.
func Poison(id int64) bool { return id%100 == 7 }
