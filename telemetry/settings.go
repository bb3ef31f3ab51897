package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"
)

// settings are what file and variables say together.
type settings struct {
	traces, metrics, logs exporter
	sampler               Sampler
	interval              time.Duration
	histogram             HistogramKind
	attributes            map[string]string
	spanQueue             int
	recordQueue           int
}

// exporter is where one signal goes.
type exporter struct {
	kind string // exporterOTLP, …
	otlp receiver
}

// receiver is how to reach one that speaks OTLP.
type receiver struct {
	protocol string
	url      string
	secure   bool
	tls      *tls.Config // nil for the system's authorities alone, or if it is not secure
	headers  map[string]string
	timeout  time.Duration
	gzip     bool
}

// The defaults that OpenTelemetry has.
const (
	defaultTimeout  = 10 * time.Second
	defaultInterval = 60 * time.Second
	defaultQueue    = 2048
	defaultService  = "ergon"
)

// resolve puts file and variables together; the error names every fault.
func (e environment) resolve(c Config) (settings, error) {
	faults := []error{c.Validate()}
	note := func(err error) { faults = append(faults, err) }
	var s settings
	var err error
	for _, sig := range []struct {
		signal
		to      *exporter
		file    string
		choices []string
	}{
		{traces, &s.traces, c.Traces.Exporter, []string{exporterOTLP, exporterConsole, exporterNone}},
		{metrics, &s.metrics, c.Metrics.Exporter, []string{exporterOTLP, exporterConsole, "prometheus", exporterNone}},
		{logs, &s.logs, c.Logs.Exporter, []string{exporterOTLP, exporterNone}},
	} {
		if *sig.to, err = e.exporter(c, sig.signal, sig.file, sig.choices); err != nil {
			note(err)
		}
	}
	s.sampler, err = e.sampler(c.Traces)
	note(err)
	s.interval, err = e.milliseconds(c.Metrics.Interval, defaultInterval, envInterval)
	note(err)
	s.histogram, err = e.histogram(c.Metrics.Histogram)
	note(err)
	s.attributes, err = e.attributes(c)
	note(err)
	note(e.checkSizes())
	if v, name := e.get(envDisabled); name != "" && !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
		note(fmt.Errorf("%s: it is true or false", name))
	}
	s.spanQueue, s.recordQueue = e.number(envSpanQueue, defaultQueue), e.number(envRecordQueue, defaultQueue)
	return s, errors.Join(faults...)
}

func (e environment) exporter(c Config, s signal, file string, choices []string) (exporter, error) {
	standard := exporterNone
	if where, _ := e.otlp(s, "ENDPOINT"); s != logs && (where != "" || c.OTLP.Endpoint != "") {
		standard = exporterOTLP
	}
	kind, err := e.choice(file, standard, []string{"OTEL_" + strings.ToUpper(string(s)) + "_EXPORTER"}, choices...)
	if err != nil {
		return exporter{}, err
	}
	if e.truth(false, envDisabled) || kind == "prometheus" {
		kind = exporterNone
	}
	x := exporter{kind: kind}
	if kind == exporterOTLP {
		x.otlp, err = e.receiver(c.OTLP, s)
	}
	return x, err
}

func (e environment) receiver(c OTLPConfig, s signal) (r receiver, err error) {
	var faults []error
	note := func(err error) { faults = append(faults, err) }
	names := func(what string) []string {
		return []string{envOTLP + strings.ToUpper(string(s)) + "_" + what, envOTLP + what}
	}
	r.protocol, err = e.choice(c.Protocol, protocolGRPC, names("PROTOCOL"), protocolGRPC, protocolHTTP)
	note(err)
	compression, err := e.choice(c.Compression, compressionNone, names("COMPRESSION"), compressionNone, compressionGzip)
	note(err)
	r.gzip = compression == compressionGzip
	r.timeout, err = e.milliseconds(c.Timeout, defaultTimeout, names("TIMEOUT")...)
	note(err)

	text, name := e.get(names("ENDPOINT")...)
	if name == "" {
		if text = c.Endpoint; text == "" {
			text = "http://localhost"
		}
	}
	where, err := parseEndpoint(text, e.truth(c.Insecure, names("INSECURE")...))
	if err != nil && name != "" { // otherwise Validate says it
		note(fmt.Errorf("%s: %w", name, err))
	}
	if text == "http://localhost" {
		where.bare = true // the port is the protocol's
	}
	r.url, r.secure = where.url(r.protocol, s, name == names("ENDPOINT")[0]), where.secure

	r.headers = maps.Clone(c.Headers)
	if list, name := e.get(names("HEADERS")...); name != "" {
		r.headers, err = pairs(name, list)
		for header, value := range r.headers {
			if !validHeader(header, value) {
				err = fmt.Errorf("%s: one of its names is none of a header, or a value has characters that none may have", name)
			}
		}
		note(err)
	}
	if r.secure {
		r.tls, err = e.tls(c, s)
		note(err)
	}
	return r, errors.Join(faults...)
}

// tls reads certificates; nil means that there are none to read.
func (e environment) tls(c OTLPConfig, s signal) (*tls.Config, error) {
	ca, caName := e.otlp(s, "CERTIFICATE")
	if caName == "" {
		ca, caName = c.CA, "telemetry.otlp.ca"
	}
	cert, certName := e.otlp(s, "CLIENT_CERTIFICATE")
	key, _ := e.otlp(s, "CLIENT_KEY")
	if cert == "" && key == "" {
		cert, key, certName = c.Cert, c.Key, "telemetry.otlp.cert"
	}
	if ca == "" && cert == "" && key == "" {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", caName, err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s has no certificate in PEM", caName, ca)
		}
	}
	if cert != "" || key != "" {
		if cert == "" || key == "" {
			return nil, errors.New(envOTLP + "CLIENT_CERTIFICATE and _CLIENT_KEY need each other")
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", certName, err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

func (e environment) sampler(c TracesConfig) (Sampler, error) {
	name, from := e.get(envSampler)
	arg, argFrom := e.get(envSamplerArg)
	if from == "" && (argFrom == "" || c.Sampler == "" && c.Ratio == nil) { // by the specification, an argument alone says nothing
		s, _ := c.parse() // Validate has said what is wrong with it
		return s, nil
	}
	if from == "" {
		name, from = or(c.Sampler, ratioSampler), argFrom
	}
	if argFrom == "" && c.Ratio != nil {
		arg = fmt.Sprint(*c.Ratio)
	}
	s, err := ParseSampler(name, arg)
	if err != nil {
		return s, fmt.Errorf("%s: %w", from, err)
	}
	return s, nil
}

func (e environment) histogram(file string) (HistogramKind, error) {
	v, name := e.get(envHistogram)
	switch {
	case name == "" && file == histogramExponential:
		return HistogramExponential, nil
	case name == "":
		return HistogramExplicit, nil
	}
	kind, err := ParseHistogramKind(strings.ToLower(v))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return kind, nil
}

// attributes are the resource's, but for those that are found out.
func (e environment) attributes(c Config) (map[string]string, error) {
	out := map[string]string{serviceName: defaultService}
	maps.Copy(out, c.Resource)
	if c.Service != "" {
		out[serviceName] = c.Service
	}
	var err error
	if list, name := e.get(envResource); name != "" {
		var set map[string]string
		set, err = pairs(name, list)
		maps.Copy(out, set)
	}
	if v, name := e.get(envServiceName); name != "" {
		out[serviceName] = v
	}
	return out, err
}
