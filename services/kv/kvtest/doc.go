// Package kvtest has a kv.Store that keeps its values in memory, for tests of what uses
// one. It is a Store like any: its calls go through the seam, so the policy that it is
// given acts on what the test makes fail.
//
//	rates := kvtest.New[Rate](t, services.Setup[spec.KV]{})
//	rates.Set("EUR", Rate{Pence: 86})
//	rates.Fail(1, errors.New("no leader"), "get") // the next attempt of a get; the seam makes another
//	task := &Pricer{Rates: rates}
//
// It answers as a bucket does, to the same suite of tests: revisions, conflicts, times of
// keys, and the ID by which a write that was made already is known. Its time is package
// time's, so that of testing/synctest.
package kvtest
