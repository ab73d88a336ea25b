module jeroboam.io/pause

go 1.24
