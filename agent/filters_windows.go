package main

import (
	"cmp"
	"context"

	"hozen/agent/internal/isolate/wfp"
	"hozen/agent/internal/probe/netfilter"
)

// platformFilters lists the filters of the Windows Filtering Platform, whosever they are.
func platformFilters(ctx context.Context) ([]netfilter.Filter, int, error) {
	all, unread, err := wfp.Filters(ctx)
	list := make([]netfilter.Filter, 0, len(all))
	for _, f := range all {
		list = append(list, netfilter.Filter{
			ID: f.ID, Key: f.Key, Name: f.Name, Provider: f.Provider, Layer: f.Layer, Sublayer: cmp.Or(f.SublayerName, f.Sublayer),
			Weight: f.Weight, Action: f.Action, Flags: f.Flags, Conditions: f.Conditions, Unread: f.Unread,
		})
	}
	return list, unread, err
}
