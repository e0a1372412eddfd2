"""Recorded homes lived once more with the real planner and controller, knowing only the past at every moment.

`homes` finds recordings, `market` lays prices beside them, `life` lives a home, `learner` forecasts, `car` charges its
car, `outcome` says what it cost beside other policies, `picture` draws the year.
"""
