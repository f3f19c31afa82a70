package archtest

// mod is the module's name as a path prefix.
const mod = "hozen/"

// rule says who may import a package: an import of something at or under to is
// allowed only from packages at or under one of from.
type rule struct {
	to   string
	from []string
	why  string
}

// rules hold for every package of the module, tests apart.
var rules = []rule{
	{mod + "proto", []string{"agent/internal/uplink", "collector/internal/agentapi", "proto", "internal/bench", "internal/cmd/hozen-bench"}, "wire types stop at the edges"},
	{"google.golang.org/grpc", []string{"agent/internal/uplink", "collector/internal/agentapi", "proto", "internal/bench", "internal/cmd/hozen-bench"}, "gRPC stops at the edges"},
	{"google.golang.org/protobuf", []string{"agent/internal/uplink", "collector/internal/agentapi", "proto", "internal/bench", "internal/cmd/hozen-bench"}, "protobuf stops at the edges"},
	{"database/sql", []string{"collector/internal"}, "SQL is the collector's"},
	{"modernc.org/sqlite", []string{"collector/internal/sqldb"}, "drivers are chosen in one place"},
	{"github.com/jackc/pgx", []string{"collector/internal/sqldb"}, "drivers are chosen in one place"},
	{"github.com/pressly/goose", []string{"collector/internal/sqldb"}, "migrations run in one place"},
	{"html/template", []string{"collector/internal/console", "collector/internal/report"}, "HTML is the console's"},
	{"text/template", nil, "a template engine costs the agent megabytes, and HTML is the console's"},
	{"os/exec", []string{"internal/archtest", "internal/netlab", "internal/e2e", "internal/bench", "internal/cmd", "collector/internal/sqldb/sqldbtest"}, "a forensic agent runs no program of the host it examines"},
	{"unsafe", []string{"agent/internal/isolate/wfp", "agent/internal/probe", "internal/winapi", "internal/bench", "proto"}, "unsafe only at the operating system's API"},
	{"github.com/shirou/gopsutil", []string{"agent/internal/probe"}, "gopsutil is a probe's detail"},
	{"github.com/kardianos/service", []string{"agent/internal/osservice", "collector/internal/osservice", "internal/osservice"}, "service control in one place"},
	{"github.com/spf13/cobra", []string{"collector"}, "the agent has its own small dispatcher"},
	{"github.com/chromedp", []string{"internal/e2e"}, "the browser is for tests"},
	{mod + "collector/internal/console", []string{"collector"}, "edges are leaves"},
	{mod + "collector/internal/agentapi", []string{"collector"}, "edges are leaves"},
	{mod + "collector/internal/api", []string{"collector"}, "edges are leaves"},
	{mod + "agent/internal/uplink", []string{"agent"}, "edges are leaves"},
	{mod + "internal/e2e", []string{"internal/e2e", "internal/cmd", "internal/bench"}, "test rigs are not shipped"},
	{mod + "internal/netlab", []string{"internal/netlab", "internal/e2e", "internal/cmd", "internal/bench", "agent/internal/isolate/isolatetest"}, "test rigs are not shipped"},
}

// edges may be imported by the package named here only; "at or under" is too wide
// for them, for it would let one context import the console.
var edges = map[string][]string{
	mod + "collector/internal/console":  {mod + "collector"},
	mod + "collector/internal/agentapi": {mod + "collector"},
	mod + "collector/internal/api":      {mod + "collector"},
	mod + "agent/internal/uplink":       {mod + "agent"},
}

// contexts are the collector's bounded contexts: none imports another. What stands
// here is allowed, with the reason.
var contexts = []string{"incident", "evidence", "endpoint", "enroll", "dispatch", "operator", "organisation", "exhibit", "export", "record", "playbook", "contact", "deadline", "report", "notify", "phone"}

var contextMeets = map[string]string{}

// verifierDeps is everything that hozen-verify may link beside the standard library.
// The checker shares no code with what is checked, only the published formats.
var verifierDeps = map[string]string{
	mod + "internal/cmd/hozen-verify": "itself",
	mod + "internal/verify":           "its readers",
	mod + "internal/artifact":         "the manifest's and the records' form",
	mod + "internal/buildinfo":        "says which build it is",
	mod + "internal/digest":           "the form of a SHA-256",
	mod + "internal/i18n":             "speaks Japanese and English",
	mod + "internal/id":               "the form of identifiers",
	"golang.org/x/mod":                "Merkle tree arithmetic and signed notes",
	"golang.org/x/crypto":             "what x/mod/sumdb/note needs",
	"golang.org/x/sys":                "the terminal's language",
	"golang.org/x/term":               "the terminal's width",
	"github.com/klauspost/compress":   "opens zstd",
}

// sleepAllowed are test files that may wait by the clock, with the reason.
var sleepAllowed = map[string]string{}

// mutableAllowed are files that may write a variable of their package, with the reason.
var mutableAllowed = map[string]string{
	"internal/crashpoint/hit_on.go": "counts hits in test builds only; the point is that callers pass nothing",
}

// tableGuests are packages that touch tables of another context, with the reason.
var tableGuests = map[string]string{}
