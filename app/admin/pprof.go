package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Profiles are written by runtime/pprof itself: net/http/pprof, once imported, serves
// them on http.DefaultServeMux as well, which a user's program may have opened to the
// world for something else.

// longestProfile bounds what one request may ask for.
const longestProfile = 5 * time.Minute

func servePprof(w http.ResponseWriter, r *http.Request) {
	switch name := strings.Trim(strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(pprofPath, "/")), "/"); name {
	case "":
		pprofIndex(w)
	case "profile":
		timedProfile(w, r, name, 30*time.Second, pprof.StartCPUProfile, pprof.StopCPUProfile)
	case "trace":
		timedProfile(w, r, name, time.Second, trace.Start, trace.Stop)
	default:
		lookedUpProfile(w, r, name)
	}
}

func pprofIndex(w http.ResponseWriter) {
	names := []string{"profile?seconds=30", "trace?seconds=1"}
	for _, p := range pprof.Profiles() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	say(w, http.StatusOK, "go tool pprof http://ADDRESS"+pprofPath+"NAME, of\n"+strings.Join(names, "\n"))
}

// timedProfile writes what happens in ?seconds. There is one such profile at a time in
// a process, so the second who asks is refused.
func timedProfile(w http.ResponseWriter, r *http.Request, name string, usual time.Duration, start func(io.Writer) error, stop func()) {
	d := usual
	if s := r.URL.Query().Get("seconds"); s != "" {
		seconds, err := strconv.ParseFloat(s, 64)
		if err != nil || !(seconds > 0 && seconds <= longestProfile.Seconds()) {
			say(w, http.StatusBadRequest, fmt.Sprintf("seconds=%q: it is above 0, and %v at most", s, longestProfile.Seconds()))
			return
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	binary(w, name)
	if r.Method == http.MethodHead {
		return
	}
	if err := start(w); err != nil {
		w.Header().Del("Content-Disposition")
		say(w, http.StatusConflict, "profile: "+err.Error()+": try again when it has ended")
		return
	}
	defer stop()
	ctx, cancel := context.WithTimeout(r.Context(), d) // also ended by Close
	defer cancel()
	<-ctx.Done()
}

func lookedUpProfile(w http.ResponseWriter, r *http.Request, name string) {
	p := pprof.Lookup(name)
	if p == nil {
		say(w, http.StatusNotFound, fmt.Sprintf("there is no profile %q: %s lists them", name, pprofPath))
		return
	}
	debug, _ := strconv.Atoi(r.URL.Query().Get("debug"))
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		binary(w, name)
	}
	if r.Method == http.MethodGet {
		_ = p.WriteTo(w, debug) // fails only when who asked is gone
	}
}

func binary(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}
