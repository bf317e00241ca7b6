"""The grounding model: does a little evidence bear out a claim?"""
