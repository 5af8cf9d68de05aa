package telemetry

import "errors"

func EncodeBatch(b *Batch) ([]byte, error)              { return nil, errors.ErrUnsupported }
func DecodeBatch(name Name, blob []byte) (Batch, error) { return Batch{}, errors.ErrUnsupported }
func EncodeEnvelope(e *Envelope) ([]byte, error)        { return nil, errors.ErrUnsupported }
func DecodeEnvelope(p []byte) (Envelope, error)         { return Envelope{}, errors.ErrUnsupported }
func EncodeEnvelopeJSON(e *Envelope) ([]byte, error)    { return nil, errors.ErrUnsupported }
