package record

// SchemaProcEnv is the environments of processes.
const SchemaProcEnv = "hozen.procenv/1"

// ProcEnv is the environment that one process was started with, as far as it stands in
// its memory still: the process can overwrite it.
type ProcEnv struct {
	PID        int      `json:"pid"`
	StartTicks uint64   `json:"start_ticks"` // with PID, the identity of the process (see [Process])
	Comm       string   `json:"comm,omitempty"`
	Vars       []EnvVar `json:"vars"`
	// Bytes is the size of what was read; Cut says that there was more.
	Bytes int  `json:"bytes"`
	Cut   bool `json:"cut,omitempty"`
	// Withheld is how many of Vars stand without their value.
	Withheld int `json:"withheld,omitempty"`
}

// EnvVar is one variable, or a text without "=" where the process put something else.
type EnvVar struct {
	Name     string `json:"name"`
	NameRaw  []byte `json:"name_b64,omitempty"`
	Value    string `json:"value,omitempty"`
	ValueRaw []byte `json:"value_b64,omitempty"`
	// Bare says that there was no "=".
	Bare bool `json:"bare,omitempty"`
	// Withheld says that the value was left out because it looks like a password or a
	// key; it had ValueBytes bytes.
	Withheld   bool `json:"withheld,omitempty"`
	ValueBytes int  `json:"value_bytes,omitempty"`
}

// AppendJSON appends p as one JSON object.
func (p *ProcEnv) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "pid", p.PID)
	b = unumAlways(b, "start_ticks", p.StartTicks)
	b = str(b, "comm", p.Comm)
	b = append(key(b, "vars"), '[')
	for i := range p.Vars {
		if i > 0 {
			b = append(b, ',')
		}
		v := &p.Vars[i]
		b = append(b, '{')
		b = strAlways(b, "name", v.Name)
		b = b64(b, "name_b64", v.NameRaw)
		b = str(b, "value", v.Value)
		b = b64(b, "value_b64", v.ValueRaw)
		b = flag(b, "bare", v.Bare)
		b = flag(b, "withheld", v.Withheld)
		b = num(b, "value_bytes", v.ValueBytes)
		b = append(b, '}')
	}
	b = append(b, ']')
	b = numAlways(b, "bytes", p.Bytes)
	b = flag(b, "cut", p.Cut)
	b = num(b, "withheld", p.Withheld)
	return append(b, '}')
}
