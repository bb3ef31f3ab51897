package llmtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answer is what the endpoint answers. Text, JSON, Refuse and Fail begin one; its fields
// change it.
type Answer struct {
	// Text is what the model says, Refusal why it does not.
	Text, Refusal string
	// Finish is why it ended: "stop" where it is empty; "length" cuts it, "content_filter"
	// keeps it back.
	Finish string
	// After is how long it takes to begin.
	After time.Duration
	// Status is an error's, with Message and RetryAfter, in seconds where it is over 0.
	Status     int
	Message    string
	RetryAfter time.Duration
	// Break has the connection end after so many words of the text, Stall has nothing more
	// come after them; 0 is off, and negative before all.
	Break, Stall int
}

// Text answers with a text.
func Text(text string) Answer { return Answer{Text: text} }

// JSON answers with v as JSON. A v that can't be JSON panics.
func JSON(v any) Answer {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("llmtest: encode a %T: %v", v, err))
	}
	return Answer{Text: string(text)}
}

// Refuse answers with the model's refusal.
func Refuse(why string) Answer { return Answer{Refusal: why} }

// Fail answers with an error's status.
func Fail(status int, message string) Answer { return Answer{Status: status, Message: message} }

// object is short for JSON written by hand.
type object = map[string]any

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whoever asked may be gone.
	_ = json.NewEncoder(w).Encode(object{"error": object{"message": message, "type": "llmtest", "code": nil, "param": nil}})
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, asked Request, a Answer) {
	if a.After > 0 {
		timer := time.NewTimer(a.After)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		case <-s.closed:
			return
		}
	}
	s.stop(r, a, -1)
	if a.Status != 0 {
		if a.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(a.RetryAfter.Round(time.Second)/time.Second)))
		}
		fail(w, a.Status, a.Message)
		return
	}
	if a.Finish == "" {
		a.Finish = "stop"
	}
	words := strings.SplitAfter(a.Text, " ")
	usage := object{"prompt_tokens": len(strings.Fields(asked.System + " " + asked.User)), "completion_tokens": len(strings.Fields(a.Text))}
	if asked.Stream {
		s.stream(w, r, asked, a, words, usage)
		return
	}
	text, err := json.Marshal(object{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked.Model, "usage": usage,
		"choices": []object{{"index": 0, "finish_reason": a.Finish, "message": message(a.Text, a.Refusal)}}})
	if err != nil {
		panic(err) // it holds nothing that can't be JSON
	}
	w.Header().Set("Content-Type", "application/json")
	if a.Break > 0 || a.Stall > 0 { // in the midst of the body
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text[:len(text)/2])
		_ = http.NewResponseController(w).Flush()
		s.stop(r, a, max(a.Break, a.Stall))
	}
	_, _ = w.Write(text)
}

func message(text, refusal string) object {
	m := object{"role": "assistant", "content": text}
	if refusal != "" {
		m["content"], m["refusal"] = nil, refusal
	}
	return m
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request, asked Request, a Answer, words []string, usage object) {
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(choices []object, more object) {
		chunk := object{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": asked.Model, "choices": choices}
		for name, v := range more {
			chunk[name] = v
		}
		text, err := json.Marshal(chunk)
		if err != nil {
			panic(err)
		}
		_, _ = fmt.Fprintf(w, "data: %s\n\n", text)
		_ = http.NewResponseController(w).Flush()
	}
	for i, word := range words {
		event([]object{{"index": 0, "delta": message(word, a.Refusal), "finish_reason": nil}}, nil)
		s.stop(r, a, i+1)
	}
	event([]object{{"index": 0, "delta": object{}, "finish_reason": a.Finish}}, nil)
	event([]object{}, object{"usage": usage})
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

// stop breaks the answer off or has it stall, after so many words.
func (s *Server) stop(r *http.Request, a Answer, after int) {
	reached := func(at int) bool { return at != 0 && at <= after || at < 0 && after < 0 }
	if reached(a.Stall) {
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	}
	if reached(a.Break) {
		panic(http.ErrAbortHandler)
	}
}
