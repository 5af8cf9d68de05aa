// Package isotp is the transport protocol of ISO 15765-2: it puts frames of
// up to 8 (CAN) or 64 (CAN FD) bytes together to messages, and cuts messages
// into frames, with normal, normal fixed, extended and mixed addressing.
//
// A Receiver reassembles many senders at once, one transfer per Address, and
// names the reason of every transfer that broke. It is passive, as on a
// recording, unless Permit says that a first frame answers our own request.
// A Sender transmits one message at a time.
//
// The package moves bytes only: it knows no bus, reads no clock (the caller
// brings the time of each frame) and starts no goroutine. Identifiers are
// opaque; callers that mix 11 and 29 bit ids fold the width in.
//
// What a Receiver does with a frame (SF single, FF first, CF consecutive, FC
// flow control; clauses 9.6 and 9.8.3), by whether a transfer of the same
// Address is under way:
//
//	frame                                  idle                     under way
//	SF                                     delivered                the transfer is aborted, the SF delivered
//	SF of length 0, or longer than its frame,
//	SF above 8 bytes without the escape    length                   length; the transfer goes on
//	FF                                     begins                   the transfer is aborted, the next begins
//	FF whose length a SF could carry,
//	FF with the escape but below 4096      length                   length; the transfer goes on
//	FF shorter than 8 bytes                malformed                malformed; the transfer goes on
//	FF above MaxLength                     length; Overflow if ours the transfer is aborted, then as idle
//	FF beyond MaxTransfers or MaxLong      crowded; Overflow if ours the transfer is aborted, then as idle
//	CF, next in sequence, in time          unexpected               taken
//	CF of another number                   unexpected               sequence; the transfer ends
//	CF of another length than the FF,
//	but a short last one                   unexpected               length; the transfer ends
//	CF more than N_Cr after the last frame,
//	ours that was flow control: N_Cr+N_Br  unexpected               timeout; the transfer ends
//	FC                                     ignored                  ignored
//	other PCI, no PCI                      malformed                malformed; the transfer goes on
//	padding behind the message             ignored                  ignored
//
// What a Sender does with flow control:
//
//	while it waits: ContinueToSend         sends a block, with this BlockSize and STmin
//	Wait                                   waits N_Bs anew, MaxWaits times in a row (ErrWaits)
//	Overflow                               gives up (ErrOverflow)
//	a reserved status                      gives up (ErrFlowStatus)
//	none within N_Bs                       gives up (ErrTimeout)
//	before the frame it answers was sent   ignored
//
// N_As and N_Ar, until a frame is on the bus, are the caller's: SendFrame and
// Reply return an error when the bus did not take the frame, and the transfer
// ends. N_Br and N_Cs are what we ourselves may take: MaxBr and MaxCs.
package isotp
