// Package web takes and sends HTTP requests with Ergon's public API alone.
package web

import (
	"context"
	"errors"

	"github.com/ergon-framework/ergon/benchmarks/work"
	"github.com/ergon-framework/ergon/bus"
	"github.com/ergon-framework/ergon/connectors/http"
	"github.com/ergon-framework/ergon/connectors/jetstream"
	"github.com/ergon-framework/ergon/engine"
)

// RunSource takes requests until ctx ends, and stores them: a receiver without records
// and the publisher of JetStream, on their defaults.
func RunSource(ctx context.Context, job *work.Job) (err error) {
	defer engine.NewBallast(0).Release()
	closing := context.WithoutCancel(ctx) // what is under way still gets its answer
	b, err := bus.Connect(ctx, bus.Config{URL: job.URL})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close(closing)) }()
	pub, err := b.NewPublisher(bus.PublisherConfig{Window: job.Window})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pub.Close(closing)) }()
	sink, err := jetstream.NewSink(pub, job.Output, jetstream.InStream(job.OutputStream))
	if err != nil {
		return err
	}
	receiver, err := http.NewReceiver(http.ReceiverConfig{Sink: sink})
	if err != nil {
		return err
	}
	server, err := http.NewServer(http.ServerConfig{Address: "127.0.0.1:0"}, nil)
	if err != nil {
		return err
	}
	if err := server.Add(http.Route{Path: work.Path, Type: work.Type}, receiver); err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close(closing)) }()
	if err := job.Say("http://" + server.Addr().String() + work.Path); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
