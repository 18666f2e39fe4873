// Does software that nobody here wrote accept the log? What to look at comes on standard input.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type proof struct {
	Index      int64
	Salt       string
	Document   map[string]any
	Inclusion  []string
	Checkpoint string
}

type given struct {
	URL, Origin, Log string
	Cosigners, Kept  []string
	Proofs           []proof
}

type looked struct{ Checkpoints, Leaves, Pairs, Proofs int64 }

func main() {
	var g given
	in := json.NewDecoder(os.Stdin)
	in.UseNumber()
	err := in.Decode(&g)
	var seen looked
	if err == nil {
		seen, err = g.accept(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(seen)
}

// Everybody named must have signed.
func (g given) policy() (torchwood.Policy, error) {
	log, err := note.NewVerifier(g.Log)
	if err != nil {
		return nil, err
	}
	all := []torchwood.Policy{torchwood.OriginPolicy(g.Origin), torchwood.SingleVerifierPolicy(log)}
	for _, key := range g.Cosigners {
		cosigner, err := torchwood.NewCosignatureVerifier(key)
		if err != nil {
			return nil, err
		}
		all = append(all, torchwood.SingleVerifierPolicy(cosigner))
	}
	return torchwood.ThresholdPolicy(len(all), all...), nil
}

func (g given) accept(ctx context.Context) (seen looked, err error) {
	policy, err := g.policy()
	if err != nil {
		return seen, err
	}
	fetcher, err := torchwood.NewTileFetcher(g.URL)
	if err != nil {
		return seen, err
	}
	newest, err := fetcher.ReadEndpoint(ctx, "checkpoint")
	if err != nil {
		return seen, err
	}
	var trees []tlog.Tree
	for _, signed := range append(g.Kept, string(newest)) {
		c, _, err := torchwood.VerifyCheckpoint([]byte(signed), policy)
		if err != nil {
			return seen, fmt.Errorf("checkpoint: %w", err)
		}
		seen.Checkpoints++
		trees = append(trees, c.Tree)
		leaves, err := wholeTree(ctx, fetcher, c.Tree)
		if err != nil {
			return seen, fmt.Errorf("tree of %d: %w", c.N, err)
		}
		seen.Leaves += leaves
	}
	for n, newer := range trees {
		for _, older := range trees[:n+1] {
			if err := consistent(ctx, fetcher, older, newer); err != nil {
				return seen, fmt.Errorf("consistency %d to %d: %w", older.N, newer.N, err)
			}
			seen.Pairs++
		}
	}
	for _, p := range g.Proofs {
		if err := p.check(policy); err != nil {
			return seen, fmt.Errorf("proof of %d: %w", p.Index, err)
		}
		seen.Proofs++
	}
	return seen, nil
}

// Every tile, every entry, and a proof of inclusion for each leaf.
func wholeTree(ctx context.Context, tiles torchwood.TileReader, tree tlog.Tree) (int64, error) {
	indexes := make([]int64, tlog.StoredHashCount(tree.N))
	for i := range indexes {
		indexes[i] = int64(i)
	}
	hashes, err := torchwood.TileHashReaderWithContext(ctx, tree, tiles).ReadHashes(indexes)
	if err != nil {
		return 0, err
	}
	reader := tlog.HashReaderFunc(func(wanted []int64) (found []tlog.Hash, _ error) {
		for _, i := range wanted {
			found = append(found, hashes[i])
		}
		return found, nil
	})
	client, err := torchwood.NewClient(tiles)
	if err != nil {
		return 0, err
	}
	count := int64(0)
	for i, entry := range client.AllEntries(ctx, tree, 0) {
		path, err := tlog.ProveRecord(tree.N, i, reader)
		if err != nil {
			return count, err
		}
		if err := tlog.CheckRecord(path, tree.N, tree.Hash, i, tlog.RecordHash(entry)); err != nil {
			return count, err
		}
		count++
	}
	if client.Err() == nil && count != tree.N {
		return count, fmt.Errorf("%d entries", count)
	}
	return count, client.Err()
}

func consistent(ctx context.Context, at *torchwood.TileFetcher, older, newer tlog.Tree) error {
	body, err := at.ReadEndpoint(ctx, fmt.Sprintf("consistency?from=%d&to=%d", older.N, newer.N))
	if err != nil {
		return err
	}
	var said []string
	if err := json.Unmarshal(body, &said); err != nil {
		return err
	}
	path, err := hashesOf(said)
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, newer.N, newer.Hash, older.N, older.Hash)
}

// As docs/transparency.md says: commitment from salt and document, leaf from it, root from the leaf.
func (p proof) check(policy torchwood.Policy) error {
	c, _, err := torchwood.VerifyCheckpoint([]byte(p.Checkpoint), policy)
	if err != nil {
		return err
	}
	salt, err := hex.DecodeString(p.Salt)
	if err != nil {
		return err
	}
	var canonical bytes.Buffer
	writer := json.NewEncoder(&canonical)
	writer.SetEscapeHTML(false)
	if err := writer.Encode(p.Document); err != nil {
		return err
	}
	text := bytes.TrimSuffix(canonical.Bytes(), []byte("\n"))
	commitment := sha256.Sum256(bytes.Join([][]byte{[]byte("akashi leaf v1\x00"), salt, text}, nil))
	path, err := hashesOf(p.Inclusion)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, c.N, c.Hash, p.Index, tlog.RecordHash(commitment[:]))
}

func hashesOf(hexadecimal []string) (hashes []tlog.Hash, err error) {
	for _, one := range hexadecimal {
		raw, err := hex.DecodeString(one)
		if err != nil || len(raw) != tlog.HashSize {
			return nil, fmt.Errorf("%q is no hash", one)
		}
		hashes = append(hashes, tlog.Hash(raw))
	}
	return hashes, nil
}
