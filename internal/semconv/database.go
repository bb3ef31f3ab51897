package semconv

// Of a database's calls and its pool, by OpenTelemetry's conventions for databases. They are
// in neither Attributes nor Metrics, which hold what every program has.
const (
	AttrDBSystem    = "db.system.name"
	AttrDBNamespace = "db.namespace"
	AttrDBOperation = "db.operation.name"
	AttrDBStatus    = "db.response.status_code"

	AttrPool      = "db.client.connection.pool.name"
	AttrPoolState = "db.client.connection.state"
)

// The metrics of a pool. The conventions have up-down counters where these say gauge.
var (
	MetricPoolCount = Metric{"db.client.connection.count", "{connection}", "Connections, by whether they are idle or used.",
		KindGauge, []string{AttrPool, AttrPoolState}}
	MetricPoolMax = Metric{"db.client.connection.max", "{connection}", "The most connections that there may be.",
		KindGauge, []string{AttrPool}}
	MetricPoolIdleMax = Metric{"db.client.connection.idle.max", "{connection}", "The most idle connections that are kept.",
		KindGauge, []string{AttrPool}}
	MetricPoolPending = Metric{"db.client.connection.pending_requests", "{request}", "Calls that wait for a connection.",
		KindGauge, []string{AttrPool}}
	MetricPoolTimeouts = Metric{"db.client.connection.timeouts", "{timeout}", "Calls whose time was over while they waited for a connection.",
		KindCounter, []string{AttrPool}}
)
