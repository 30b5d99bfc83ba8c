package metrics

import "github.com/prometheus/client_golang/prometheus"

// metric is the place of a description in the table.
type metric int

// The metrics, in the order of the table.
const (
	buildInfo metric = iota
	live
	ready
	healthy
	wantedGeneration
	appliedGeneration
	provenGeneration
	lastProof
	pinned
	letGo
	repairs
	heartbeats
	lastHeartbeat
	heartbeatTimeout
	stageDuration
	networkProgramming
	stageFailures
	stageFailing
	inputAge
	steeredServicePorts
	skippedServicePorts
	steeredEndpoints
	nodeLatency
	nodeCPU
	nodeMeasurementAge
	nodeUnreachable
	nodeFactor
	nodeShare
	trafficCounted
	nodeConnections
	nodeAskedConnections
	endpointShare
	endpointConnections
	endpointAskedConnections

	metricCount
)

// described is what a scrape says about a metric.
type described struct {
	Doc
	desc *prometheus.Desc
}

// Doc is what there is to know of a metric.
type Doc struct {
	Name, Help string
	Labels     []string
}

func describe(name, help string, labels ...string) described {
	name = "weft_" + name
	return described{Doc{name, help, labels}, prometheus.NewDesc(name, help, labels, nil)}
}

// table holds the description of each metric.
type table [metricCount]described

func newTable() *table {
	return &table{
		buildInfo:                describe("build_info", "A constant 1, labelled with the version of weft.", "version", "revision", "goversion"),
		live:                     describe("live", "1 if every loop of the agent moves."),
		ready:                    describe("ready", "1 if the first state was complete and the first rules were proven."),
		healthy:                  describe("healthy", "1 if the agent is live and ready and nothing is wrong now."),
		wantedGeneration:         describe("wanted_generation", "Generation of the newest state."),
		appliedGeneration:        describe("applied_generation", "Generation of the state whose rules the kernel took last; 0 is none."),
		provenGeneration:         describe("proven_generation", "Generation of the state whose rules are proven to be at work; 0 is none."),
		lastProof:                describe("last_proof_timestamp_seconds", "When the rules were proven last."),
		pinned:                   describe("pinned", "1 if the rules are pinned by weft rollback, whatever the state says."),
		letGo:                    describe("let_go", "1 if the heartbeat is not renewed, so that kube-proxy serves."),
		repairs:                  describe("repairs_total", "Times that a change by somebody else was found and undone."),
		heartbeats:               describe("heartbeats_total", "Times that the heartbeat was renewed."),
		lastHeartbeat:            describe("last_heartbeat_timestamp_seconds", "When the heartbeat was renewed last."),
		heartbeatTimeout:         describe("heartbeat_timeout_seconds", "How long the rules work without a live weft; 0 is for ever."),
		stageDuration:            describe("stage_duration_seconds", "How long a stage took on the way from the source to the kernel.", "stage"),
		networkProgramming:       describe("network_programming_duration_seconds", "How long changes of endpoints took, from what led to them to the proof of the rules that follow."),
		stageFailures:            describe("stage_failures_total", "Times that a stage failed.", "stage"),
		stageFailing:             describe("stage_failing", "1 if the last try of a stage failed.", "stage"),
		inputAge:                 describe("input_age_seconds", "Time since an input was known to be good.", "input"),
		steeredServicePorts:      describe("steered_service_ports", "ServicePorts that weft has rules for."),
		skippedServicePorts:      describe("skipped_service_ports", "ServicePorts that are left to kube-proxy, by reason.", "reason"),
		steeredEndpoints:         describe("steered_endpoints", "Endpoints of the ServicePorts that weft has rules for."),
		nodeLatency:              describe("node_latency_seconds", "Time that a node needs to answer, as this node sees it.", "node"),
		nodeCPU:                  describe("node_cpu_ratio", "Part of a node's cores that is busy, 0 to 1.", "node"),
		nodeMeasurementAge:       describe("node_measurement_age_seconds", "Time since a node's latency or cpu was measured.", "node", "measurement"),
		nodeUnreachable:          describe("node_unreachable", "1 if a node answers no probe.", "node"),
		nodeFactor:               describe("node_factor", "What measurements make of a node's base weight, the mean over ServicePorts.", "node"),
		nodeShare:                describe("node_share_ratio", "Part of new connections that a node should get, the mean over ServicePorts.", "node"),
		trafficCounted:           describe("traffic_counted", "1 if new connections through this node's NodePorts are counted now."),
		nodeConnections:          describe("node_connections_total", "New connections through this node's NodePorts that a node's endpoints got.", "node"),
		nodeAskedConnections:     describe("node_asked_connections_total", "How many of the same connections the shares asked for to go to a node.", "node"),
		endpointShare:            describe("endpoint_share_ratio", "Part of new connections that an endpoint should get.", "service_port", "protocol", "endpoint", "node"),
		endpointConnections:      describe("endpoint_connections_total", "New connections through this node's NodePort that an endpoint got.", "service_port", "protocol", "endpoint", "node"),
		endpointAskedConnections: describe("endpoint_asked_connections_total", "How many of the same connections the share of an endpoint asked for.", "service_port", "protocol", "endpoint", "node"),
	}
}
