// SPDX-License-Identifier: Apache-2.0

package group

import "testing"

// TestStart walks through "Life: start" of section 2 of the contract.
func TestStart(t *testing.T) {
	runScenarios(t, []scenario{
		{"contract 2, start: no member has link",
			"A/ B/ a1@A a2@B", "a1:->A start; a2:->B start", "A failed B failed a1@A! a2@B! failed", []row{
				{"", "B link up",
					"a1:A>B unusable; B both failed>unknown; group failed>degraded; * repair B both link a1:A>B", "A failed B unknown* a1@B a2@B degraded"},
			}},
		{"contract 2, start: none is usable, one has link",
			"A/ Bf a1@A", "a1:->B start", "A failed B failed a1@B! failed", []row{
				{"", "A link up",
					"a1:B>A unusable; A both failed>unknown; group failed>degraded; * repair A both link a1:B>A", "A unknown* B failed a1@A degraded"},
			}},
		{"contract 2, start: nothing exists",
			"A- B- a1@B", "", "A missing B missing a1@-! failed", []row{
				{"", "A back",
					"A both missing>unknown", "A unknown B missing a1@-! failed"},
				{"", "A link up",
					"a1:->A unusable; group failed>degraded; * repair A both missing a1:->A", "A unknown* B missing a1@A degraded"},
				{"", "B back",
					"B both missing>unknown", "A unknown* B unknown a1@A degraded"},
				{"", "B link up",
					"group degraded>ok; * repair B both missing", "A unknown* B unknown* a1@A ok"},
				{"", "B ok",
					"a1:A>B home; B both unknown>ok; * failback B ipv4 probe a1:A>B", "A unknown* B ok* a1@B ok"},
			}},
		{"contract 2, start: each on its home if that has link, else on the first in file order that has",
			"A/ B C a1@A a2@C a3@B a4@Z", "a1:->B start; a2:->C start; a3:->B start; a4:->B start", "A failed B unknown* C unknown* a1@B a2@C a3@B a4@B degraded", []row{
				{"", "A link up",
					"A both failed>unknown; group degraded>ok; * repair A both link", "A unknown* B unknown* C unknown* a1@B a2@C a3@B a4@B ok"},
				{"", "B ok",
					"B both unknown>ok", "A unknown* B ok* C unknown* a1@B a2@C a3@B a4@B ok"},
				{"", "A ok",
					"a1:B>A home; A both unknown>ok; * failback A ipv4 probe a1:B>A", "A ok* B ok* C unknown* a1@A a2@C a3@B a4@B ok"},
			}},
		{"contract 2, start: a standby stands in, until all that it is not needed for are proved good",
			"S+ A/ B a1@A a2@B a3@Z", "a1:->S start; a2:->B start; a3:->S start", "S unknown* A failed B unknown* a1@S a2@B a3@S degraded", []row{
				{"", "S ok",
					"S both unknown>ok", "S ok* A failed B unknown* a1@S a2@B a3@S degraded"},
				{"", "A link up",
					"A both failed>unknown; group degraded>ok; * repair A both link", "S ok* A unknown* B unknown* a1@S a2@B a3@S ok"},
				{"", "A ok",
					"a1:S>A home; A both unknown>ok; * failback A ipv4 probe a1:S>A", "S ok* A ok* B unknown* a1@A a2@B a3@S ok"},
				{"", "B ok",
					"a3:S>A not-needed; B both unknown>ok; * failback B ipv4 probe a3:S>A", "S ok A ok* B ok* a1@A a2@B a3@A ok"},
			}},
		{"contract 2, start: what a former run left",
			"A B C! a1@A=B a2@A a3@B=C a4@C=Z", "a2:->A start; a4:->A start; a3:C>B unusable", "A unknown* B unknown* C offline a1@B a2@A a3@B a4@A degraded", []row{
				{"the offline mark lasts; what it had moves. Adopted addresses stay until their home is proved good", "B ok",
					"B both unknown>ok", "A unknown* B ok* C offline a1@B a2@A a3@B a4@A degraded"},
				{"", "C ok",
					"", "A unknown* B ok* C offline a1@B a2@A a3@B a4@A degraded"},
				{"", "A ok",
					"a1:B>A home; A both unknown>ok; * failback A ipv4 probe a1:B>A", "A ok* B ok* C offline a1@A a2@A a3@B a4@A degraded"},
				{"", "C online",
					"a4:A>C home; C both offline>ok; group degraded>ok; * online C both admin; * failback C ipv4 admin a4:A>C", "A ok* B ok* C ok* a1@A a2@A a3@B a4@C ok"},
			}},
		{"contract 2, start: a former run's failure is not forgotten",
			"Af B a1@A=B a2@A", "a2:->B start", "A failed B unknown* a1@B a2@B degraded", []row{
				{"", "A ok",
					"a1:B>A home; a2:B>A home; A both failed>ok; group degraded>ok; * repair A both probe; * failback A ipv4 probe a1:B>A a2:B>A", "A ok* B unknown* a1@A a2@A ok"},
			}},
		{"contract 2, start: without probes there is nothing to wait for",
			"A0 B0 a1@A=B", "a1:B>A home", "A unknown* B unknown* a1@A ok", []row{
				{"", "B link down carrier",
					"B both unknown>failed link carrier; group ok>degraded; * failover B both link carrier", "A unknown* B failed a1@A degraded"},
			}},
		{"contract 2, start: with failback: false what was adopted stays, and so does who was inactive",
			"Ai B S+ a1@A=S a2@B=B nofailback", "", "A unknown B unknown* S unknown* a1@S a2@B ok", []row{
				{"", "A ok",
					"A both unknown>ok", "A ok B unknown* S unknown* a1@S a2@B ok"},
				{"", "B ok",
					"B both unknown>ok", "A ok B ok* S unknown* a1@S a2@B ok"},
				{"", "S failed probe both",
					"a1:S>A unusable; S both unknown>failed probe both; group ok>degraded; * failover S both probe both a1:S>A", "A ok* B ok* S failed a1@A a2@B degraded"},
			}},
		{"contract 2, start: all that were found inactive, but one is needed",
			"Ai Bi a1@B nofailback", "a1:->A start", "A unknown* B unknown a1@A ok", []row{
				{"", "A ok",
					"A both unknown>ok", "A ok* B unknown a1@A ok"},
			}},
		{"contract 2, start: a former owner that is missing",
			"A- B a1@A=A", "a1:A>B unusable", "A missing B unknown* a1@B degraded", []row{
				{"", "A back",
					"A both missing>unknown", "A unknown B unknown* a1@B degraded"},
				{"", "A link up",
					"group degraded>ok; * repair A both missing", "A unknown* B unknown* a1@B ok"},
				{"", "A ok",
					"a1:B>A home; A both unknown>ok; * failback A ipv4 probe a1:B>A", "A ok* B unknown* a1@A ok"},
			}},
		{"contract 2, start: link not known yet",
			"A? B? a1@B", "a1:->B start", "A unknown B unknown a1@B! failed", []row{
				{"", "A link up",
					"a1:B>A unusable; group failed>degraded; * repair A ipv4 link a1:B>A", "A unknown* B unknown a1@A degraded"},
				{"", "B link up",
					"group degraded>ok", "A unknown* B unknown* a1@A ok"},
				{"usable by its link alone, and that is not known any more", "A link unknown",
					"a1:A>B unusable; group ok>degraded; * failover A both link a1:A>B", "A unknown B unknown* a1@B degraded"},
				{"", "A link up",
					"group degraded>ok; * repair A both link", "A unknown* B unknown* a1@B ok"},
			}},
		{"contract 2, start: all are offline",
			"A! B! a1@B", "a1:->B start", "A offline B offline a1@B! failed", []row{
				{"", "A online",
					"a1:B>A unusable; A both offline>unknown; group failed>degraded; * online A both admin a1:B>A", "A unknown* B offline a1@A degraded"},
			}},
		{"contract 2, start: an interface that exists, though no link",
			"A- B! C/ a1@A", "a1:->C start", "A missing B offline C failed a1@C! failed", []row{
				{"", "C link up",
					"C both failed>unknown; group failed>degraded; * repair C both link", "A missing B offline C unknown* a1@C degraded"},
			}},
	})
}
