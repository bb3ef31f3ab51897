// Package semconv holds every name that Ergon shows the outside: message
// headers, and the names of spans, metrics and attributes. A name stands here
// once, so that what one part writes is what another reads.
package semconv
