// Package state holds what weft knows at one moment, and the file that carries it
// from the half that watches to the half that applies.
//
// The file is a stream of YAML documents, one for the header and one for each
// ServicePort, so that a change of one ServicePort costs one document: [Encoder]
// copies the bytes and [Decoder] keeps the values of all others. A file is taken whole
// or refused whole, with everything that is wrong in it; see [Decode]. [Store]
// writes it atomically and counts its generations.
//
// Two readers share the work. One takes exactly the form that Encoder writes and
// is some thirty times as fast; the other, of package strict, takes any YAML and
// alone has messages. Tests prove that what the first takes means the same to the
// second. The checks are the same for both and for states that never were a file
// ([Validate]): no string that passes them can become nft syntax.
//
// [Modulus] and [Slots] turn the shares of a state into the slots of a rule.
package state
