// How main.bicepparam reads environment variables: the functions that it imports. Deploys nothing.
// What is held: a variable that is set to nothing counts as not set, because an unset variable of a GitHub repository
// arrives as an empty one.

@export()
@description('A variable\'s value, or what stands for it where none is given.')
func valueOr(value string, default string) string => empty(trim(value)) ? default : trim(value)

@export()
@description('The parts of a value between commas, without spaces around them; none where none is given.')
func partsOf(value string) string[] => filter(map(split(value, ','), part => trim(part)), part => !empty(part))

@export()
@description('The days that a variable names; null where it is not set, or set to nothing: for ever.')
func daysOf(value string) int? => empty(trim(value)) ? null : int(trim(value))
