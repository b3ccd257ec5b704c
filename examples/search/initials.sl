; From a full name to its initials: "Ada Lovelace" -> "A.L."
; SyGuS-IF 2.1, with a grammar that the solution must be a term of.
(set-logic SLIA)
(synth-fun initials ((name String)) String
  ((Start String) (Number Int))
  ((Start String (name " " "."
                  (str.++ Start Start)
                  (str.at Start Number)
                  (str.substr Start Number Number)))
   (Number Int (0 1
                (+ Number Number)
                (str.len Start)
                (str.indexof Start Start Number)))))
(declare-var name String)
(constraint (= (initials "Ada Lovelace") "A.L."))
(constraint (= (initials "Alan Turing") "A.T."))
(constraint (= (initials "Grace Hopper") "G.H."))
(constraint (= (initials "Kurt Goedel") "K.G."))
(check-synth)
