package acquire

import (
	"io"
	"time"

	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
)

// opening is an acquisition that the sink makes room for, which takes several syncs of
// the disk. In a hurry the first probe reads meanwhile.
type opening struct {
	done chan struct{}
	acq  *spool.Acquisition
	err  error
}

func begin(sink Sink, acquisitionID string, plan []byte, wrap func() func(io.Writer) (io.WriteCloser, error), meanwhile bool) *opening {
	o := &opening{done: make(chan struct{})}
	do := func() {
		defer close(o.done)
		if s, ok := sink.(wrappingSink); ok && wrap != nil {
			o.acq, o.err = s.BeginWith(acquisitionID, plan, wrap)
			return
		}
		o.acq, o.err = sink.Begin(acquisitionID, plan)
	}
	if meanwhile {
		go do()
	} else {
		do()
	}
	return o
}

func (o *opening) ready() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

func (o *opening) wait() error {
	<-o.done
	return o.err
}

// create begins a part of an acquisition that is ready.
func (o *opening) create(name string) (*spool.Part, error) {
	if o.err != nil {
		return nil, o.err
	}
	return o.acq.Create(name)
}

// placings makes parts durable, in a hurry beside the probes that follow.
type placings struct {
	list  []*placing
	first time.Time // when the first part was durable
}

type placing struct {
	probe int // index of its outcome
	done  chan struct{}
	entry *artifact.Entry
	at    time.Time
	err   error
}

// add takes what a probe wrote; w is nil when it was not started.
func (p *placings) add(w *writer, by readied, probe int, meanwhile bool) {
	if w == nil {
		return
	}
	x := &placing{probe: probe, done: make(chan struct{})}
	p.list = append(p.list, x)
	kind, schema := by.Kind(), by.Schema()
	do := func() {
		defer close(x.done)
		x.entry, x.err = w.place(kind, schema)
		x.at = time.Now()
	}
	if meanwhile {
		go do()
	} else {
		do()
	}
}

// settle waits for the parts and enters them in m, in the order of the probes.
func (p *placings) settle(m *artifact.Manifest) {
	for _, x := range p.list {
		<-x.done
		if x.err != nil {
			out := &m.Probes[x.probe]
			out.Outcome, out.Detail, out.Records = artifact.Failed, clip(x.err), 0
		}
		if x.entry == nil {
			continue
		}
		m.Artifacts = append(m.Artifacts, *x.entry)
		if p.first.IsZero() || x.at.Before(p.first) {
			p.first = x.at
		}
	}
	p.list = nil
}
