package contact

import (
	"cmp"
	"slices"
	"time"
)

// Call is whom to telephone first. One of the pointers is set.
type Call struct {
	Own   *Own
	Desk  *Desk
	Tel   string // never what only the guide prints; see [Value.GuideValue]
	Reach Reach  // of Desk
}

// first are the kinds of own contacts that are called first, in that order: who knows the
// systems, then who knows what to do, then who decides. Those who are only told, such as
// clients and ministries, are not among them.
func first() []Kind { return []Kind{Vendor, Forensics, Inside, Maker, Insurer, Police, OtherPerson} }

// urgent are the categories of desks that help somebody whose PC was just attacked, in the
// order in which they are called. Lawyers, notifications and prevention come later.
func urgent() []string { return []string{"emergency", "technical", "ransomware", "police"} }

// First chooses whom to call first: of the organisation's own who is nearest to its systems
// and has a telephone, else of the list that comes with the product a desk for urgent help to
// companies that the filter lets through and that can be telephoned, one that answers now
// before all others. Desks of a region are for those who say that they are in it. It reports
// false when there is nobody.
func (b *Book) First(own []Own, f Filter, now time.Time) (Call, bool) {
	kinds := first()
	near := slices.DeleteFunc(slices.Clone(own), func(o Own) bool { return o.Removed || Dial(o.Tel) == "" || !slices.Contains(kinds, o.Kind) })
	slices.SortStableFunc(near, func(x, y Own) int { return cmp.Compare(slices.Index(kinds, x.Kind), slices.Index(kinds, y.Kind)) })
	if len(near) > 0 {
		return Call{Own: &near[0], Tel: near[0].Tel}, true
	}
	var best Call
	desks := slices.DeleteFunc(b.Choose(f, now), func(d Desk) bool {
		return len(d.Tels) == 0 || d.Instead != "" || f.Region == "" && len(d.Regions) > 0 || !slices.Contains(urgent(), d.Category)
	})
	slices.SortStableFunc(desks, func(x, y Desk) int {
		return cmp.Compare(slices.Index(urgent(), x.Category), slices.Index(urgent(), y.Category))
	})
	for _, d := range desks {
		c := Call{Desk: &d, Tel: d.Tels[0].Value, Reach: b.Reach(d, now)}
		if c.Reach.State == Open {
			return c, true
		}
		if best.Desk == nil {
			best = c
		}
	}
	return best, best.Desk != nil
}
