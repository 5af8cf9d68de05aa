package buffer

// faults lets the package's own tests make the disk fail and break the laws on
// purpose, to see that the laws' tests notice. Outside tests it is nil and
// nothing can set it.
type faults struct {
	beforeOpen   func(file string) error // the disk cannot even be read
	afterProof   func(file string)       // the disk changes between the proof and bbolt's opening
	beforeCommit func(file string) error // the disk refuses before anything is written
	afterCommit  func(file string) error // the sync fails although all of it was written
	inBegin      func(file string)       // the file changes in the very moment a transaction begins
	inRead       func(file string)       // the writer reads a page that may be slow to come
	beforeNames  func() error            // the names in the directory cannot be synced

	seqOutsideTx    bool // the next seq is stored one transaction late
	dropEvery       int  // every so many batches: named, but not stored
	deleteBeforeAck bool // reading deletes
	evictUnlisted   bool // evictions go into no Gap
	noSync          bool // transactions are not synced
	noDirSync       bool // names of new files are not synced
	staysClean      bool // a file in use is not marked as such
	owedInMemory    bool // losses of media.db are not stored on their way into the Gap table

	missingUnlisted bool // a salvage does not list what it did not find
	believeAll      bool // a salvage believes a record whose checksum is wrong
	notedBeforeMove bool // a salvage notes how far it got before it moved what it read
	mintsOn         bool // a file gone back to its older root goes on giving names

	movable bool // the files may be put onto another disk: an image of one is looked at elsewhere
}

func (x *faults) opening(file string) error {
	if x == nil || x.beforeOpen == nil {
		return nil
	}
	return x.beforeOpen(file)
}

func (x *faults) proved(file string) {
	if x != nil && x.afterProof != nil {
		x.afterProof(file)
	}
}

// makeDurable syncs the names in a directory.
func (x *faults) makeDurable(dir string) error {
	if x != nil && x.noDirSync {
		return nil
	}
	if x != nil && x.beforeNames != nil {
		if err := x.beforeNames(); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func (x *faults) before(file string) error {
	if x == nil || x.beforeCommit == nil {
		return nil
	}
	return x.beforeCommit(file)
}

func (x *faults) beginning(file string) {
	if x != nil && x.inBegin != nil {
		x.inBegin(file)
	}
}

func (x *faults) reading(file string) {
	if x != nil && x.inRead != nil {
		x.inRead(file)
	}
}

func (x *faults) after(file string) error {
	if x == nil || x.afterCommit == nil {
		return nil
	}
	return x.afterCommit(file)
}
