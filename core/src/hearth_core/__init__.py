"""The contract both ends of Hearth own: topics, messages, points, units, errors and the clock."""
