package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"math/bits"
)

// node is a node of a Merkle tree (RFC 6962, 2.1).
type node [sha256.Size]byte

func parseHash(s string) (node, bool) {
	if !isHexSHA256(s) {
		return node{}, false
	}
	b, err := hex.DecodeString(s)
	return node(b), err == nil
}

func (h node) String() string { return hex.EncodeToString(h[:]) }

func leafHash(record []byte) node { return sha256.Sum256(append([]byte{0}, record...)) }

func nodeHash(l, r node) node {
	b := make([]byte, 0, 1+2*sha256.Size)
	return sha256.Sum256(append(append(append(b, 1), l[:]...), r[:]...))
}

// included reports whether the proof shows that leaf is at index in the tree of that size
// and root (RFC 9162, 2.1.3.2).
func included(leaf node, index, size int64, proof []node, root node) bool {
	if index < 0 || index >= size {
		return false
	}
	fn, sn, r := uint64(index), uint64(size-1), leaf
	for _, p := range proof {
		if sn == 0 {
			return false
		}
		if fn&1 == 1 || fn == sn {
			r = nodeHash(p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = nodeHash(r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	return sn == 0 && r == root
}

// extends reports whether the proof shows that the tree of size begins with the tree of
// old entries (RFC 9162, 2.1.4.2).
func extends(old, size int64, proof []node, oldRoot, root node) bool {
	switch {
	case old < 1 || old > size:
		return false
	case old == size:
		return len(proof) == 0 && oldRoot == root
	case len(proof) == 0:
		return false
	}
	if old&(old-1) == 0 {
		proof = append([]node{oldRoot}, proof...)
	}
	fn, sn := uint64(old-1), uint64(size-1)
	shift := bits.TrailingZeros64(^fn)
	fn, sn = fn>>shift, sn>>shift
	fr, sr := proof[0], proof[0]
	for _, c := range proof[1:] {
		if sn == 0 {
			return false
		}
		if fn&1 == 1 || fn == sn {
			fr, sr = nodeHash(c, fr), nodeHash(c, sr)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sr = nodeHash(sr, c)
		}
		fn, sn = fn>>1, sn>>1
	}
	return sn == 0 && fr == oldRoot && sr == root
}
