// Package buffer is the custody of the on-board unit: what it has taken it
// keeps on disk until the cloud has it, through power cuts, full disks and
// damaged files, and what it cannot keep it lists as a Gap that is itself
// delivered.
//
// Its job: name batches (store, class, seq), store them with one synced
// transaction per flush, hand them out for sending, delete them on proof of
// delivery, evict by rank when a quota is reached, and keep the Gap table.
// Not its job: to decide when to flush, what to send next, or whether a
// delivery is proven; it knows no MQTT. Sizes are bytes, times are
// telemetry.At (time since boot).
//
// Two bbolt files live in one directory: telemetry.db (telemetry, event and
// health classes, the Gap table, executed commands) and media.db (chunks of
// clips; created with the first chunk). docs/decisions/0001-buffer-layout.md
// says how they are laid out and what a commit costs.
//
// The package starts no goroutine. Commit, CommitChunk, FinishClip, Record
// and Close write; everything else only reads or queues and never waits for
// the disk's sync.
package buffer
