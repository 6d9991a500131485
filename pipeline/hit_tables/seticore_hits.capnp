# The messages of a .hits file of seticore, written from the list of its fields. A file is a sequence of Hit messages.
@0xc2f0a3b1d4e59678;

struct Signal {
  frequency @0 :Float64;       # MHz, at the first spectrum
  index @1 :Int32;             # channel within the coarse channel
  driftSteps @2 :Int32;        # channels
  driftRate @3 :Float64;       # Hz/s
  snr @4 :Float32;
  coarseChannel @5 :Int32;
  beam @6 :Int32;
  numTimesteps @7 :Int32;      # spectra; 0 by older writers
  power @8 :Float32;           # 0 by older writers
  incoherentPower @9 :Float32;
}

struct Filterbank {
  sourceName @0 :Text;
  fch1 @1 :Float64;            # MHz, centre of the first channel of data
  foff @2 :Float64;            # MHz
  tstart @3 :Float64;          # MJD, UTC
  tsamp @4 :Float64;           # s
  ra @5 :Float64;              # hours
  dec @6 :Float64;             # degrees
  telescopeId @7 :Int32;
  numTimesteps @8 :Int32;
  numChannels @9 :Int32;
  data @10 :List(Float32);     # linear power, one spectrum after the other
  coarseChannel @11 :Int32;
  startChannel @12 :Int32;
  beam @13 :Int32;
}

struct Hit {
  signal @0 :Signal;
  filterbank @1 :Filterbank;
}
