package evidence

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hozen/internal/artifact"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// session is what is known of one unsealed acquisition while somebody deals with it.
// Whoever holds lock may touch the folder.
type session struct {
	i                         *Intake
	endpointID, acquisitionID string
	dir                       string
	users                     int           // guarded by i.mu
	lock                      chan struct{} // holds one token
	owner                     *Upload       // the upload that may write; under lock
	parts                     map[string]*partInfo
	loaded                    bool
}

type partInfo struct {
	size  int64
	ended bool
	proof *proof // of an ended part, when this session has seen all its bytes
}

// session returns the session of an acquisition, locked; release gives it back.
func (i *Intake) session(ctx context.Context, endpointID, acquisitionID string) (*session, error) {
	if err := id.Check(id.Endpoint, endpointID); err != nil {
		return nil, fmt.Errorf("take evidence in: %w", err)
	}
	if err := id.Check(id.Acquisition, acquisitionID); err != nil {
		return nil, i.record(ctx, endpointID, acquisitionID, refuse(Malformed, "", "%v", err))
	}
	dir := filepath.Join(i.cfg.Incoming, endpointID, acquisitionID)
	i.mu.Lock()
	s := i.sessions[dir]
	if s == nil {
		s = &session{i: i, endpointID: endpointID, acquisitionID: acquisitionID, dir: dir, lock: make(chan struct{}, 1), parts: map[string]*partInfo{}}
		i.sessions[dir] = s
	}
	s.users++
	_, counted := i.incoming[endpointID]
	if !counted {
		list, err := i.folders(endpointID)
		if err != nil {
			s.forget()
			i.mu.Unlock()
			return nil, err
		}
		i.incoming[endpointID] = 0
		for _, f := range list {
			i.incoming[endpointID] += f.size
		}
	}
	i.mu.Unlock()
	if err := s.acquireLock(ctx); err != nil {
		i.mu.Lock()
		defer i.mu.Unlock()
		s.forget()
		return nil, err
	}
	if err := s.load(); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *session) acquireLock(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another upload of %s: %w", s.acquisitionID, ctx.Err())
	}
}

func (s *session) unlock() { <-s.lock }

// release unlocks and lets the session go when nobody needs it.
func (s *session) release() {
	s.unlock()
	s.i.mu.Lock()
	defer s.i.mu.Unlock()
	s.forget()
}

// forget needs i.mu.
func (s *session) forget() {
	if s.users--; s.users > 0 {
		return
	}
	delete(s.i.sessions, s.dir)
	for _, other := range s.i.sessions {
		if other.endpointID == s.endpointID {
			return
		}
	}
	delete(s.i.incoming, s.endpointID) // counted anew next time
}

// load reads from the folder what is there.
func (s *session) load() error {
	if s.loaded {
		return nil
	}
	list, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read upload: %w", err)
	}
	for _, e := range list {
		stem, full := strings.CutSuffix(e.Name(), ended)
		if !full {
			var ok bool
			if stem, ok = strings.CutSuffix(e.Name(), growing); !ok {
				continue
			}
		}
		base, ok := strings.CutPrefix(stem, partPrefix)
		name := artifact.ArtifactDir + "/" + base
		if _, _, perr := ParsePartName(name); !ok || perr != nil {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
		if size := partSize(s.i.vault(), fi.Size(), full); size >= 0 {
			s.parts[name] = &partInfo{size: size, ended: full}
		}
	}
	s.loaded = true
	return nil
}

func (s *session) states() []PartState {
	var out []PartState
	for _, name := range slices.Sorted(maps.Keys(s.parts)) {
		out = append(out, PartState{Name: name, Size: s.parts[name].size, Complete: s.parts[name].ended})
	}
	return out
}

// hasSeal reports whether the acquisition was proven and only its rows are missing.
func (s *session) hasSeal() bool {
	_, err := os.Lstat(filepath.Join(s.dir, sealFile))
	return err == nil
}

// clear removes everything that is there of the acquisition.
func (s *session) clear() error {
	if s.owner != nil {
		s.owner.drop()
	}
	f, err := statFolder(s.dir)
	if err != nil {
		return fmt.Errorf("clear upload: %w", err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("clear upload: %w", err)
	}
	s.parts, s.loaded = map[string]*partInfo{}, true
	parent := filepath.Dir(s.dir)
	if _, err := os.Lstat(parent); err == nil {
		if err := durable.SyncDir(parent); err != nil {
			return fmt.Errorf("clear upload: %w", err)
		}
	}
	return s.i.charge(s.endpointID, -f.size)
}

// removePart removes one part.
func (s *session) removePart(name string) error {
	p := s.parts[name]
	if p == nil {
		return nil
	}
	for _, state := range []string{growing, ended} {
		if err := os.Remove(partPath(s.dir, name, state)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drop part: %w", err)
		}
	}
	delete(s.parts, name)
	return s.i.charge(s.endpointID, -p.size)
}
