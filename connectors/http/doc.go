// Package http connects Ergon to HTTP: a [Sink] sends transactions as requests.
package http
