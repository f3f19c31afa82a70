package ring

// For tests that fail the disk at each call.
type (
	File = file
	Disk = disk
)

// OSDisk is the disk that is used outside of tests.
func OSDisk() Disk { return osDisk{} }

// OpenOn is Open on another disk.
func OpenOn(cfg Config, d Disk) (*Ring, Recovery, error) { return open(cfg, d) }

// Crash lets go of everything without writing, as a killed process does.
func (r *Ring) Crash() {
	if r.cur != nil {
		r.cur.Close()
	}
	r.lock.Close()
}
