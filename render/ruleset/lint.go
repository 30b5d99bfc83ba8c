package ruleset

const (
	blankLine    = "an empty line inside braces: nft refuses it"
	usesVariable = "variables are not for rendered text: write the value"
	emptyList    = "an empty list: nft refuses it; leave the statement out where a list has nothing"
)
