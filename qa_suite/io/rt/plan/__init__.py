"""RTPLAN and RT Ion Plan: every element used, checked, told or refused."""
